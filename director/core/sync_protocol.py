"""The messages that synchronise two directors: those of kernel IPVS, versions 0 and 1.

All numbers are in network byte order, except the sequence numbers of version 0, which are in the sender's.

    version 0: header of 4 bytes            version 1: header of 8 bytes
      0 u8   number of connections            0 u8   0, so that a receiver of version 0 sees no connections
      1 u8   syncid                           1 u8   syncid
      2 be16 bytes of the whole message       2 be16 bytes of the whole message
                                              4 u8   number of connections
                                              5 s8   1, the version
                                              6 be16 0
    each connection, 24 bytes               each connection, 36 bytes (IPv4) or 72 (IPv6)
      0 u8   0                                0 u8   type: bit 0 is set for IPv6
      1 u8   protocol                         1 u8   protocol
      2 be16 ports of client, VIP, server     2 be16 high 4 bits: 0; low 12: bytes of this connection
      8 be32 their addresses                  4 be32 flags
     20 be16 flags                            8 be16 state, then the ports of client, VIP, server
     22 be16 state                           16 be32 firewall mark
     24      6 numbers of 32 bits if         20 be32 timeout in seconds
             SEQUENCES is among the flags    24      their addresses
                                                     options: type, length, data; then zeros up to a
                                                     multiple of 4 bytes, except after the last one

Nothing in a message proves who sent it. Source: Linux, ip_vs_sync.c as a description of the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag
from functools import lru_cache
from ipaddress import IPv4Address
from socket import inet_ntop, inet_pton
from struct import Struct
from typing import NamedTuple

from director.core.errors import BadValue
from director.core.family import IPV4, IPV6, Family, check_address, family_of
from director.core.packet import TCP, UDP, Endpoint
from director.core.states import State

MASTER, BACKUP = ROLES = ("master", "backup")
GROUP, PORT, TTL = "224.0.0.81", 8848, 1
SYNCID = 255  # the default of ipvsadm 1.31
HEADERS = 28  # bytes of the IP and UDP headers of a message
MAX_MESSAGE = 65535 - HEADERS
MAX_CONNECTIONS = 255  # in a message: the number is one byte
SEND_AFTER = 2.0  # seconds that a message waits for more connections


@dataclass(frozen=True, slots=True)
class DaemonConfig:
    """A daemon that sends (master) or receives (backup) messages; they may run side by side.

    A backup whose `syncid` is 0 takes messages of every syncid. `maxlen` is in bytes, 0 for what the
    interface's MTU allows. With `resync`, a backup asks for the whole table, and a master sends it; the
    kernel has nothing like it. Raises BadValue.
    """

    role: str
    interface: str
    syncid: int = SYNCID
    maxlen: int = 0
    group: str = GROUP
    port: int = PORT
    ttl: int = TTL
    resync: bool = False

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise BadValue("daemon", " or ".join(ROLES), self.role)
        if type(self.interface) is not str or not self.interface:
            raise BadValue("mcast-interface", "the name of an interface", self.interface)
        if type(self.resync) is not bool:
            raise BadValue("resync", "true or false", self.resync)
        check_address("mcast-group", self.group, IPV4)
        if not IPv4Address(self.group).is_multicast:
            raise BadValue("mcast-group", f"a multicast address such as {GROUP}", self.group)
        for name, low, high in (
            ("syncid", 0, 255),
            ("maxlen", 0, MAX_MESSAGE),
            ("port", 1, 65535),
            ("ttl", 1, 255),
        ):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise BadValue(name, f"{low} to {high}", value)


class Flag(IntFlag):
    """IP_VS_CONN_F_*: the forwarding method in the low three bits, then single bits."""

    MASQUERADING = 0
    LOCAL_NODE = 1
    TUNNEL = 2
    DIRECT_ROUTE = 3
    METHOD = 7
    SYNC = 0x20  # the sender got it from another director
    HASHED = 0x40  # never sent
    NO_OUTPUT = 0x80  # replies do not pass through the director
    INACTIVE = 0x100
    OUT_SEQUENCE = 0x200
    IN_SEQUENCE = 0x400
    SEQUENCES = 0x600
    NO_CLIENT_PORT = 0x800
    TEMPLATE = 0x1000
    RECEIVED = 0x1F87  # the bits that a receiver uses (IP_VS_CONN_F_BACKUP_MASK)


class Shift(NamedTuple):
    """How a helper has shifted the sequence numbers of one direction (ip_vs_seq).

    Numbers after `start` are shifted by `delta`, earlier ones by `previous`; both are signed.
    """

    start: int
    delta: int
    previous: int


NO_SHIFT = Shift(0, 0, 0)


class SyncRecord(NamedTuple):
    """A connection or a template in a message.

    `state` is the state's number; a template has 1 if it is assured. `timeout` is in whole seconds, 0 if the
    message has none. `from_client` and `from_server` are in_seq and out_seq.
    """

    protocol: int
    client: Endpoint
    vip: Endpoint
    server: Endpoint
    flags: int
    state: int
    timeout: int = 0
    mark: int = 0
    from_client: Shift = NO_SHIFT
    from_server: Shift = NO_SHIFT

    @property
    def family(self) -> Family:
        return family_of(self.client.address)


class SyncMark:
    """The state of synchronisation of a connection or template, between two messages about it.

    `ends` is when it was going to expire and `state` its state when it was last sent; `retries` and `packets`
    are counted for sync_retries and for templates. `received`: another director sent it.
    """

    __slots__ = ("ends", "packets", "received", "retries", "state")

    def __init__(self, *, received: bool = False, state: State | None = None) -> None:
        self.ends: float | None = None
        self.retries = 0
        self.packets = 0
        self.state = state
        self.received = received


TCP_STATES = tuple(state for state in State if state is not State.UDP)  # in the order of their numbers
_STATES = {TCP: len(TCP_STATES), UDP: 1}
# As plain numbers: operations on enum members take ten times as long, and these are done for each record.
_RECEIVED_FLAGS, _SEQUENCE_FLAGS, _TEMPLATE_FLAG = int(Flag.RECEIVED), int(Flag.SEQUENCES), int(Flag.TEMPLATE)

_HEADER_V0 = Struct("!BBH")
_HEADER_V1 = Struct("!BBHBbH")
_CONNECTION_V0 = Struct("!BBHHH4s4s4sHH")
_CONNECTION_V1 = Struct("!BBHIHHHHII")
_SHIFTS = "IiiIii"
_SHIFTS_V0, _SHIFTS_V1 = Struct(f"={_SHIFTS}"), Struct(f"!{_SHIFTS}")
_ADDRESSES = {IPV4: Struct("4s4s4s"), IPV6: Struct("16s16s16s")}
_SERVER_FIELDS = {IPV4: Struct("!xc10x8s8x8s"), IPV6: Struct("!xc10x8s20x32s")}
_ONLY_INACTIVE = bytes((0, Flag.INACTIVE >> 8))  # bits 8 to 15 of the flags of a plain connection
_IPV6 = 1  # bit of a connection's type
_VERSION_1 = 1
_SIZE, _VERSION_SHIFT = 0x0FFF, 12
_SEQUENCES, _ENGINE_DATA, _ENGINE_NAME = 1, 2, 3  # types of options
_MAY_BE_IGNORED = 0x40
_MAX_ENGINE_NAME = 16
_OPTION = 2  # bytes of type and length


# ---- writing ----


def encode(record: SyncRecord, version: int) -> bytes:
    """Encode one connection without padding; the flags of `record` say whether it has shifts."""
    return _encode_v1(record) if version else _encode_v0(record)


def _encode_v0(record: SyncRecord) -> bytes:
    """Version 0 has neither timeout nor mark, and no IPv6."""
    client, vip, server = record.client, record.vip, record.server
    encoded = _CONNECTION_V0.pack(
        *(0, record.protocol, client.port, vip.port, server.port),
        *_packed(record),
        *(record.flags & 0xFFFF, record.state),
    )
    if record.flags & Flag.SEQUENCES:
        encoded += _SHIFTS_V0.pack(*record.from_client, *record.from_server)
    return encoded


def _encode_v1(record: SyncRecord) -> bytes:
    client, vip, server = record.client, record.vip, record.server
    is_ipv6 = record.family is IPV6
    size = _CONNECTION_V1.size + _ADDRESSES[record.family].size
    options = b""
    if record.flags & Flag.SEQUENCES:
        shifts = _SHIFTS_V1.pack(*record.from_client, *record.from_server)
        options = bytes((_SEQUENCES, len(shifts))) + shifts
    fixed = _CONNECTION_V1.pack(
        *(_IPV6 if is_ipv6 else 0, record.protocol, size + len(options), record.flags, record.state),
        *(client.port, vip.port, server.port, record.mark, record.timeout),
    )
    return b"".join((fixed, *_packed(record), options))


def _packed(record: SyncRecord) -> Iterator[bytes]:
    """The addresses of client, VIP and real server, all of one family."""
    address_family = record.family.address_family
    return (inet_pton(address_family, end.address) for end in (record.client, record.vip, record.server))


class Outbox:
    """Collects connections into messages of at most `maxlen` bytes; a longer one is sent alone."""

    def __init__(self, syncid: int, maxlen: int) -> None:
        self._syncid, self._maxlen = syncid, maxlen
        self._version = _VERSION_1
        self._parts: list[bytes] = []  # connections and the zeros between them
        self._number = self._size = 0
        self._began = 0.0

    def add(self, record: SyncRecord, version: int, now: float) -> bytes | None:
        """Returns a message to send first, if it is full or of another version."""
        return self.append(encode(record, version), version, now)

    def append(self, encoded: bytes, version: int, now: float) -> bytes | None:
        """The same with an encoded connection."""
        padding = -self._size % 4 if version else 0
        full = None
        if self._number and (
            self._size + padding + len(encoded) > self._maxlen
            or version != self._version
            or self._number == MAX_CONNECTIONS
        ):
            full = self.take()
        if not self._number:
            self._began, self._version, padding = now, version, 0
            self._size = (_HEADER_V1 if version else _HEADER_V0).size
        self._parts += (bytes(padding), encoded)
        self._number += 1
        self._size += padding + len(encoded)
        return full

    def extend(self, encoded: Sequence[bytes], version: int, now: float) -> Iterator[bytes]:
        """The same for many of equal length; yields the messages to send, in their order."""
        at, length = 0, len(encoded[0])
        while at < len(encoded):
            full = self.append(encoded[at], version, now)
            if full is not None:
                yield full
            at += 1
            if length % 4:  # with zeros in between
                continue
            room = min((self._maxlen - self._size) // length, MAX_CONNECTIONS - self._number)
            more = encoded[at : at + max(0, room)]
            self._parts += more
            self._number += len(more)
            self._size += len(more) * length
            at += len(more)

    def is_due(self, now: float) -> bool:
        """Whether the message has waited long enough."""
        return bool(self._number) and now - self._began >= SEND_AFTER

    def take(self) -> bytes | None:
        """The message so far; None if it is empty."""
        if not self._number:
            return None
        if self._version:
            header = _HEADER_V1.pack(0, self._syncid, self._size, self._number, _VERSION_1, 0)
        else:
            header = _HEADER_V0.pack(self._number, self._syncid, self._size)
        message = header + b"".join(self._parts)
        self._parts, self._number = [], 0
        return message


def request(syncid: int) -> bytes:
    """A message without connections, which asks for the whole table; the kernel ignores it."""
    return _HEADER_V1.pack(0, syncid, _HEADER_V1.size, 0, _VERSION_1, 0)


# ---- reading ----


class Unreadable(Exception):
    """The rest of a message is dropped; the text says why."""


class _Skipped(Exception):
    """A record is invalid: the receiver skips its connection only."""


class Message(NamedTuple):
    """What a receiver reads from a datagram; `dropped` says why it was not read to the end, if so.

    `skipped` is the number of connections that were left out.
    """

    records: list[SyncRecord]
    skipped: int = 0
    dropped: str = ""


def decode(datagram: bytes, syncid: int = 0) -> Message:
    """Read a message as the kernel does; a receiver with the syncid 0 takes every message. Never raises."""
    records: list[SyncRecord] = []
    skipped = 0
    try:
        for record in _connections(datagram, syncid):
            if record is None:
                skipped += 1
            else:
                records.append(record)
    except Unreadable as error:
        return Message(records, skipped, str(error))
    return Message(records, skipped)


class Plain(NamedTuple):
    """A message of version 1 whose connections all have the same form: no templates, no options.

    `records` are the `number` encoded connections, as in the message.
    """

    family: Family
    number: int
    records: bytes

    def record(self, at: int) -> SyncRecord | None:
        """The connection with this index; None if the director does not know its protocol or state."""
        size = len(self.records) // self.number
        return _connection_v1(self.records[at * size : (at + 1) * size])

    def all_records(self) -> Iterator[SyncRecord | None]:
        return map(self.record, range(self.number))

    def server_fields(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """What identifies each real server: protocol; ports of VIP and server, and mark; addresses."""
        return _SERVER_FIELDS[self.family].iter_unpack(self.records)


def plain(datagram: bytes, syncid: int = 0) -> Plain | None:
    """The message, if it is plain; `decode` reads every kind. Never raises.

    It checks column by column: a message has up to 255 connections, and thousands may come in a second.
    """
    if len(datagram) < _HEADER_V1.size + _CONNECTION_V1.size:
        return None
    zero, theirs, size, number, version, spare = _HEADER_V1.unpack_from(datagram)
    records = datagram[_HEADER_V1.size :]
    if size != len(datagram) or (syncid and theirs != syncid) or zero or version != _VERSION_1 or spare:
        return None
    family = IPV6 if records[0] else IPV4
    length = _SERVER_FIELDS[family].size
    if not number or len(records) != number * length:
        return None
    expected = (bytes((_IPV6 if family is IPV6 else 0,)), b"\0", bytes((length,)))
    kinds_and_sizes = (records[at::length] for at in (0, 2, 3))
    if any(column != size * number for column, size in zip(kinds_and_sizes, expected, strict=True)):
        return None
    other_flags = records[6::length].strip(_ONLY_INACTIVE)  # sequence numbers, or a template
    return None if other_flags else Plain(family, number, records)


def _connections(datagram: bytes, syncid: int) -> Iterator[SyncRecord | None]:
    """Raises Unreadable; yields None for a connection that is skipped."""
    if len(datagram) < _HEADER_V0.size:
        raise Unreadable("shorter than a header")
    number, theirs, size = _HEADER_V0.unpack_from(datagram)
    if size != len(datagram):
        raise Unreadable(f"{len(datagram)} bytes, but its header says {size}")
    if syncid and theirs != syncid:
        raise Unreadable(f"syncid {theirs}, not {syncid}")
    if size >= _HEADER_V1.size:
        zero, _, _, count, version, spare = _HEADER_V1.unpack_from(datagram)
        if version == _VERSION_1 and not zero and not spare:
            return _connections_v1(datagram, count)
    return _connections_v0(datagram, number)


def _connections_v0(datagram: bytes, number: int) -> Iterator[SyncRecord | None]:
    at = _HEADER_V0.size
    for _ in range(number):
        if at + _CONNECTION_V0.size > len(datagram):
            raise Unreadable("truncated")
        _, protocol, cport, vport, dport, *addresses, flags, state = _CONNECTION_V0.unpack_from(datagram, at)
        at += _CONNECTION_V0.size
        shifts = NO_SHIFT, NO_SHIFT
        if flags & _SEQUENCE_FLAGS:
            if at + _SHIFTS_V0.size > len(datagram):
                raise Unreadable("truncated sequence numbers")
            shifts = _shifts(_SHIFTS_V0.unpack_from(datagram, at))
            at += _SHIFTS_V0.size
        client, vip, server = _endpoints(IPV4, addresses, (cport, vport, dport))
        record = SyncRecord(protocol, client, vip, server, flags & _RECEIVED_FLAGS, state, 0, 0, *shifts)
        yield _accepted(record)


def _connections_v1(datagram: bytes, number: int) -> Iterator[SyncRecord | None]:
    at = _HEADER_V1.size
    shortest = _CONNECTION_V1.size + _ADDRESSES[IPV4].size
    for _ in range(number):
        if at + shortest > len(datagram):
            raise Unreadable("truncated")
        size = int.from_bytes(datagram[at + 2 : at + 4], "big")
        end = at + (size & _SIZE)
        if end > len(datagram):
            raise Unreadable("a connection is longer than the message")
        if size >> _VERSION_SHIFT:
            raise Unreadable(f"connection of version {size >> _VERSION_SHIFT}")
        yield _connection_v1(datagram[at:end])
        at += ((size & _SIZE) + 3) & ~3


def _connection_v1(data: bytes) -> SyncRecord | None:
    """Raises Unreadable."""
    kind = data[0] if data else 2
    family = IPV6 if kind & _IPV6 else IPV4
    if kind and family is IPV4:
        raise Unreadable(f"connection of type {kind}")
    start = _CONNECTION_V1.size + _ADDRESSES[family].size
    if start > len(data):
        raise Unreadable("a connection is too short")
    _, protocol, _, flags, state, *ports, mark, timeout = _CONNECTION_V1.unpack_from(data)
    addresses = _ADDRESSES[family].unpack_from(data, _CONNECTION_V1.size)
    try:
        shifts = _options(data, start) if len(data) > start else None
    except _Skipped:
        return None
    flags &= _RECEIVED_FLAGS
    if flags & _SEQUENCE_FLAGS and not shifts:
        # Kernels without "ipvs: reset full ip_vs_seq structs" use uninitialised memory as the shifts.
        raise Unreadable("flags for sequence numbers, but no sequence numbers")
    client, vip, server = _endpoints(family, addresses, ports)
    both = shifts or (NO_SHIFT, NO_SHIFT)
    return _accepted(SyncRecord(protocol, client, vip, server, flags, state, timeout, mark, *both))


def _options(data: bytes, at: int) -> tuple[Shift, Shift] | None:
    """The shifts, if they are among the options. Raises Unreadable, and _Skipped.

    Only the kernel has persistence engines (types 2 and 3): their templates are skipped.
    """
    found: dict[int, bytes] = {}
    while at < len(data):
        if at + _OPTION > len(data):
            raise Unreadable("a truncated option")
        kind, length = data[at], data[at + 1]
        at += _OPTION
        if not length or at + length > len(data):
            raise Unreadable(f"option {kind} of {length} bytes")
        known = kind & ~_MAY_BE_IGNORED
        if known in (_SEQUENCES, _ENGINE_DATA, _ENGINE_NAME):
            wrong = known == _SEQUENCES and length != _SHIFTS_V1.size
            if wrong or known in found or (known == _ENGINE_NAME and length > _MAX_ENGINE_NAME):
                raise Unreadable(f"option {known} of {length} bytes, or twice")
            found[known] = data[at : at + length]
        elif not kind & _MAY_BE_IGNORED:
            raise _Skipped
        at += length
    if _ENGINE_DATA in found:
        raise _Skipped
    return _shifts(_SHIFTS_V1.unpack(found[_SEQUENCES])) if _SEQUENCES in found else None


def _accepted(record: SyncRecord) -> SyncRecord | None:
    """None for a connection whose protocol or state the director does not know; templates may have any."""
    template = record.flags & _TEMPLATE_FLAG
    return record if template or record.state < _STATES.get(record.protocol, 0) else None


def _shifts(numbers: tuple[int, ...]) -> tuple[Shift, Shift]:
    return Shift(*numbers[:3]), Shift(*numbers[3:])


def _endpoints(family: Family, addresses: Iterable[bytes], ports: Iterable[int]) -> Iterator[Endpoint]:
    texts = (_text(family.address_family, packed) for packed in addresses)
    return map(Endpoint, texts, ports)


@lru_cache(maxsize=65536)
def _text(address_family: int, packed: bytes) -> str:
    return inet_ntop(address_family, packed)
