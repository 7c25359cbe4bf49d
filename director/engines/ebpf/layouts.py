"""The program's structs as bytes, and its variables as shared memory; program/maps.h declares them, too.

Addresses and ports are in network byte order, numbers in host byte order. The structs that contain addresses
are longer for IPv6, and their lengths tell the families apart.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from socket import inet_ntop, inet_pton
from struct import Struct
from typing import NamedTuple

from director.core.family import IPV4, IPV6, Family, family_of
from director.core.packet import Endpoint
from director.core.persistence import TemplateKey
from director.core.real_server import Method
from director.core.states import (
    ACTIVE,
    EVENTS,
    SECURE_TCP_TRANSITIONS,
    TCP_TRANSITIONS,
    Direction,
    State,
    Timeouts,
)
from director.core.sysctls import Sysctls

STATES = tuple(State)
METHODS = tuple(Method)


@dataclass(frozen=True, slots=True)
class Structs:
    """The structs that contain addresses, for one family."""

    flow_key: Struct
    entry: Struct
    update: Struct
    service_key: Struct
    service: Struct
    template_key: Struct
    prefix: Struct
    route: Struct
    neighbour_key: Struct
    event: Struct


OF = {
    IPV4: Structs(
        flow_key=Struct("=4s4s2s2sB3x"),
        entry=Struct("=QIHH4s2sH24s"),
        update=Struct("=16sIIQI4x"),
        service_key=Struct("=4s2sBx"),
        service=Struct("=7I4sQ"),
        template_key=Struct("=4s4s2sBx"),
        prefix=Struct("=I4s"),
        route=Struct("=I4s6sH"),
        neighbour_key=Struct("=I4s"),
        event=Struct("=QII16sI4s2sBxH2xQ"),
    ),
    IPV6: Structs(
        flow_key=Struct("=16s16s2s2sB3x"),
        entry=Struct("=QIHH16s2sH36s"),
        update=Struct("=40sIIQI4x"),
        service_key=Struct("=16s2sBx"),
        service=Struct("=7I16s4xQ"),
        template_key=Struct("=16s16s2sBx"),
        prefix=Struct("=I16s"),
        route=Struct("=I16s6sH"),
        neighbour_key=Struct("=I16s"),
        event=Struct("=QII40sI16s2sBxH6xQ"),
    ),
}


def _by_length(name: str) -> dict[int, Struct]:
    structs = [getattr(of, name) for of in OF.values()]
    return {struct.size: struct for struct in structs}


_ENTRIES, _UPDATES, EVENTS_BY_LENGTH = map(_by_length, ("entry", "update", "event"))
_FLOW_KEYS, _TEMPLATE_KEYS = map(_by_length, ("flow_key", "template_key"))
_OF_ADDRESS = {family.bits // 8: structs for family, structs in OF.items()}  # by the bytes of an address
_FAMILIES = {family.bits // 8: family.address_family for family in OF}

SERVER = Struct("=16s2sH16s5I4i")  # addresses of either family
STATS = Struct("=5Q")
CORE_STATS = Struct("=5q")
TEMPLATE = Struct("=QII")
NEIGHBOUR = Struct("=6s2x")

OPENED, STATE_CHANGED, REPLIED, EXPIRED, SYNC_DUE = range(5)  # types of events
UNCHANGED = NEVER = 2**64 - 1  # an `expires` of an update; when nothing expires

OWN, VIRTUAL = (kind.to_bytes(4, "little") for kind in range(2))  # addresses in the map of VIPs

# ---- connections ----

REPLY, UPCALL, CORE_OWNED, FAST_REPLY, REMOVED, SYNCED = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
MARKED = 0x1000
FEW_PACKETS = 9  # up to this number, the entry follows the core's count
MAX_PACKETS = 0xFFFF  # counted of one connection
NO_NEXT_HOP = b""  # all zero, so that it is looked up: no generation is 0
_STATE, _METHOD, _METHOD_SHIFT = 0x0F, 0x30, 4


class Entry(NamedTuple):
    """struct connection: one entry of the connection table."""

    expires: int
    flags: int
    server: int
    packets: int
    address: bytes
    port: bytes
    mtu: int = 0
    next_hop: bytes = NO_NEXT_HOP

    @property
    def state(self) -> State:
        return state_of(self.flags)

    @property
    def method(self) -> Method:
        return METHODS[(self.flags & _METHOD) >> _METHOD_SHIFT]

    @property
    def endpoint(self) -> Endpoint:
        return endpoint(self.address, self.port)

    @classmethod
    def from_bytes(cls, value: bytes) -> Entry:
        return cls._make(_ENTRIES[len(value)].unpack(value))

    def __bytes__(self) -> bytes:
        return _OF_ADDRESS[len(self.address)].entry.pack(*self)


def make_flags(state: State, method: Method, flags: int = 0) -> int:
    return STATES.index(state) | METHODS.index(method) << _METHOD_SHIFT | flags


def state_of(flags: int) -> State:
    return STATES[flags & _STATE]


def with_state(flags: int, state: State) -> int:
    return flags & ~_STATE | STATES.index(state)


# ---- keys ----


@lru_cache(maxsize=65536)
def address(text: str) -> bytes:
    return inet_pton(family_of(text).address_family, text)


def text(packed_address: bytes) -> str:
    return inet_ntop(_FAMILIES[len(packed_address)], packed_address)


def port(number: int) -> bytes:
    return number.to_bytes(2, "big")


def endpoint(packed_address: bytes, packed_port: bytes) -> Endpoint:
    return Endpoint(text(packed_address), int.from_bytes(packed_port, "big"))


def flow_key(protocol: int, source: Endpoint, destination: Endpoint) -> bytes:
    """The key of packets from `source` to `destination`."""
    raw_source = address(source.address)
    return _OF_ADDRESS[len(raw_source)].flow_key.pack(
        raw_source, address(destination.address), port(source.port), port(destination.port), protocol
    )


def parse_flow_key(key: bytes) -> tuple[int, Endpoint, Endpoint]:
    """Protocol, source and destination."""
    source, destination, sport, dport, protocol = _FLOW_KEYS[len(key)].unpack(key)
    return protocol, endpoint(source, sport), endpoint(destination, dport)


def template_key(key: TemplateKey) -> bytes:
    network = address(key.network)
    pack = _OF_ADDRESS[len(network)].template_key.pack
    return pack(network, address(key.vip.address), port(key.vip.port), key.protocol)


def parse_template_key(key: bytes) -> TemplateKey:
    network, vip, packed_port, protocol = _TEMPLATE_KEYS[len(key)].unpack(key)
    return TemplateKey(protocol, text(network), endpoint(vip, packed_port))


def update(key: bytes, before: int, after: int, expires: int, packets: int) -> bytes:
    """A change to the entry of a flow key, which the core asks of the program."""
    return _OF_FLOW_KEY[len(key)].update.pack(key, before, after, expires, packets)


_OF_FLOW_KEY = {structs.flow_key.size: structs for structs in OF.values()}


def last_flags(context: bytes) -> int:
    """The flags in an update that the program has answered."""
    return int(_UPDATES[len(context)].unpack(context)[2])


def service_key(endpoint_of_service: Endpoint, protocol: int) -> bytes:
    vip = address(endpoint_of_service.address)
    return _OF_ADDRESS[len(vip)].service_key.pack(vip, port(endpoint_of_service.port), protocol)


def prefix(network: str) -> bytes:
    """The key of an address or a network."""
    parsed = ip_network(network)
    return prefix_key(parsed.prefixlen, parsed.network_address.packed)


def prefix_key(length: int, network: bytes) -> bytes:
    return _OF_ADDRESS[len(network)].prefix.pack(length, network)


def neighbour_key(ifindex: int, packed_address: bytes) -> bytes:
    return _OF_ADDRESS[len(packed_address)].neighbour_key.pack(ifindex, packed_address)


def route(ifindex: int, gateway: bytes, mac: bytes, mtu: int) -> bytes:
    """`gateway` is all zero if the destination is on the link."""
    return _OF_ADDRESS[len(gateway)].route.pack(ifindex, gateway, mac, mtu)


def netmask(family: Family, written: str) -> bytes:
    """A netmask as bits: in the rules, IPv6 has a prefix length instead."""
    return address(written) if family is IPV4 else ip_network(f"::/{written}").netmask.packed


# ---- time ----

NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class KernelClock:
    """Converts the core's seconds and the program's nanoseconds of CLOCK_MONOTONIC.

    `now` is the core's clock, `offset` how many seconds it is ahead of the kernel's.
    """

    now: Callable[[], float]
    offset: float

    def seconds(self, nanoseconds: int) -> float:
        return nanoseconds / NANO + self.offset

    def nanoseconds(self, seconds: float) -> int:
        return max(0, int((seconds - self.offset) * NANO))


# ---- variables ----

HAS_WILDCARDS, UPCALL_UNSOLICITED, EMIT_EVENTS, CLEAR_DF = 1, 2, 4, 8
UPCALL_NEW, UPCALL_SYN, REDIRECT_PEER, EXPIRE_QUIESCENT, SEND_SYNC, STAND_BY = 16, 32, 64, 128, 256, 512
SEND_ENCODED = 1024

_MAX_STATES, _MAX_EVENTS = 16, 8  # room in the program's tables
_U64, _S64, _U32 = Struct("=Q"), Struct("=q"), Struct("=I")
_TIMEOUTS = Struct(f"={_MAX_STATES}Q")
_NEIGHBOURS_VALID_UNTIL, _TIMEOUTS_AT = 0, 8
_CONN_LIMIT = _TIMEOUTS_AT + _TIMEOUTS.size
_GENERATION, _UPCALL_IFINDEX, _FLAGS, _CONN_REUSE_MODE, _ACTIVE_STATES = (
    _CONN_LIMIT + 8 + 4 * field for field in range(5)
)
_SYNC_STATES, _SYNC_THRESHOLD, _SYNC_PERIOD, _SYNC_WRAP, _TRANSITIONS = (
    _ACTIVE_STATES + 4 * field for field in range(1, 6)
)
_OFTEN = 64  # packets between two checks of a connection that is sent by time alone


class Settings:
    """struct settings, in memory that the program reads."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._set(_ACTIVE_STATES, sum(1 << at for at, state in enumerate(STATES) if state in ACTIVE))

    def _set(self, offset: int, value: int) -> None:
        _U32.pack_into(self._memory, offset, value)

    def set_timeouts(self, timeouts: Timeouts) -> None:
        seconds = timeouts.by_state()
        numbers = [int(seconds[state] * NANO) for state in STATES]
        _TIMEOUTS.pack_into(self._memory, _TIMEOUTS_AT, *numbers, *[0] * (_MAX_STATES - len(STATES)))

    def set_transitions(self, *, secure: bool) -> None:
        """Write the core's TCP state table."""
        transitions = SECURE_TCP_TRANSITIONS if secure else TCP_TRANSITIONS
        table = bytearray()
        for direction in (Direction.INPUT, Direction.OUTPUT, Direction.INPUT_ONLY):
            for event in EVENTS:
                row = (
                    state if state is State.UDP else transitions[direction, event, state] for state in STATES
                )
                table += bytes(map(STATES.index, row)).ljust(_MAX_STATES, b"\0")
            table += bytes(_MAX_STATES * (_MAX_EVENTS - len(EVENTS)))
        self._memory[_TRANSITIONS : _TRANSITIONS + len(table)] = bytes(table)

    def set_neighbours_valid_until(self, nanoseconds: int) -> None:
        _U64.pack_into(self._memory, _NEIGHBOURS_VALID_UNTIL, nanoseconds)

    def set_conn_limit(self, connections: int) -> None:
        _U64.pack_into(self._memory, _CONN_LIMIT, connections)

    def set_upcall_interface(self, ifindex: int) -> None:
        self._set(_UPCALL_IFINDEX, ifindex)

    def set_flags(self, flags: int) -> None:
        """`flags` are HAS_WILDCARDS and the following."""
        self._set(_FLAGS, flags)

    def set_conn_reuse_mode(self, mode: int) -> None:
        self._set(_CONN_REUSE_MODE, mode)

    def set_sync(self, states: Iterable[State], sysctls: Sysctls) -> None:
        """When a connection is sent to another director: in these states, at these packets."""
        period, threshold = sysctls.sync_period, sysctls.sync_threshold
        if not period and sysctls.sync_refresh_period:
            period, threshold = _OFTEN, threshold % _OFTEN
        self._set(_SYNC_STATES, sum(1 << STATES.index(state) for state in states))
        self._set(_SYNC_THRESHOLD, threshold)
        self._set(_SYNC_PERIOD, period)
        half = (MAX_PACKETS + 1) // 2
        self._set(_SYNC_WRAP, half // period * period if period else 0)

    def bump_generation(self) -> None:
        """Let every connection look up its server, route and neighbour again."""
        generation = int(_U32.unpack_from(self._memory, _GENERATION)[0])
        self._set(_GENERATION, generation % (2**32 - 2) + 1)


class Totals:
    """struct totals: what the program counts, and what the core adds.

    Each writes only its own numbers, because the other may change its numbers at any time.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    def _get(self, offset: int) -> int:
        return int(_S64.unpack_from(self._memory, offset)[0])

    @property
    def connections(self) -> int:
        """The number of connections in the table."""
        return self._get(0) + self._get(8)

    def add_connections(self, number: int) -> None:
        """The core has inserted, or with a negative number removed, connections."""
        _S64.pack_into(self._memory, 8, self._get(8) + number)

    @property
    def templates(self) -> int:
        return self._get(16)

    @templates.setter
    def templates(self, number: int) -> None:
        _S64.pack_into(self._memory, 16, number)

    @property
    def lost_events(self) -> int:
        """Events that found the ring buffer full."""
        return self._get(24)

    @property
    def lost_records(self) -> int:
        """Records for another director that found the ring buffer full."""
        return self._get(32)
