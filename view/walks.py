"""Matches captured frames that are one packet at its hops: a walk. Hops are matched, never invented.

Every host captures, so a packet is captured at each interface that it leaves or enters. The director and
routers change some of its headers; it is identified by what none of them changes: the client's address and
port, the protocol, and the identification of the innermost IP header (RFC 791). If that is 0 or missing
(IPv6), TCP's sequence numbers, flags, window and options take its place. A walk has all hops that were
captured, in order of time.

A frame that a switch flooded to other ports is not a hop of the packet, and is left out.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from director.formats.ipvsadm_words import endpoint
from view.captures import Record
from view.frames import Frame, as_json, differences, dissect

_LIFE = 2_000_000  # microseconds without a new hop after which a walk is over
_TRANSIT = 100_000  # microseconds between two hops, with a margin
_MOST_ALIKE = 16  # identical packets in flight
_MOST_KNOWN = 100_000  # connections whose real server is remembered
_ETHERNET, _IP = 14, 20  # bytes of headers
_LEAST = 34  # bytes from the IP header to TCP's flags
_PLAIN, _IN_TUNNEL = b"\x45", b"\x04"  # IPv4 without options; protocol IP in IP
_IPV6, _IP6, _LEAST_TCP, _TCP = b"\x60", 40, 14, 6
_INNER6 = (b"\x04", b"\x29")  # next headers: a tunnel
_NOISE = ("multicast listener report", "router solicitation")
_FINAL_BITS = 0x07  # of TCP's flags: FIN, SYN, RST
_FINAL = frozenset("SFR")  # flags of segments that open or end a connection: sampled last

Key = tuple[Any, ...]
REQUEST, REPLY = "request", "reply"


@dataclass(slots=True)
class Walk:
    """`number` is None where sampling has left the packet out."""

    number: int | None
    last: int  # microseconds
    hops: int = 0
    frame: Frame | None = None
    places: set[tuple[str, str]] = field(default_factory=set)
    connection: str | None = None


@dataclass(slots=True)
class Budget:
    """A token bucket of packets shown per second (None: all). Important packets may overdraw it."""

    rate: float | None
    tokens: float = 0.0
    filled: int = 0

    def takes(self, now: int, important: bool) -> bool:
        if self.rate is None:
            return True
        earned = (now - self.filled) / 1e6 * self.rate if self.filled else self.rate
        self.tokens = min(self.rate, self.tokens + max(0.0, earned))
        self.filled = max(self.filled, now)
        if self.tokens < (1 - self.rate if important else 1):
            return False
        self.tokens -= 1
        return True


def _is_noise(frame: Frame) -> bool:
    """What every Linux interface sends when it comes up: multicast reports, router solicitations."""
    if frame.ip is None or frame.l4 is None or not frame.ip.dst.startswith("ff02::"):
        return False
    return frame.l4.kind in _NOISE


def _next_of(alike: list[Walk], place: tuple[str, str], now: int) -> Walk | None:
    """The walk whose next hop is at `place`; None if a new walk begins there.

    Identical packets, such as repeated ACKs, do not overtake each other on a wire. So it is the first walk
    that lacks this place, unless its last hop is too old for the packet to be still in flight.
    """
    waiting = [walk for walk in alike if place not in walk.places and now - walk.last <= _LIFE]
    in_flight = (walk for walk in waiting if now - walk.last <= _TRANSIT)
    return next(in_flight, waiting[-1] if waiting else None)


def _raw(address: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError:  # a damaged description
        return b"?"


class Walks:
    """Turns records, in chronological order, into packet items.

    `macs` maps interfaces to MACs; `clients` and `vips` are the addresses of clients and of services.
    """

    def __init__(
        self,
        macs: Mapping[str, str],
        clients: Collection[str],
        vips: Collection[str],
        rate: float | None = None,
    ) -> None:
        self._macs = macs
        self._clients = frozenset(clients)
        self.vips = set(vips)
        self._budget = Budget(rate)
        self._raw_clients = frozenset(_raw(client) for client in clients)
        self._marks: dict[bytes, bool] = {}  # packet -> whether it is shown
        self._older_marks: dict[bytes, bool] = {}
        # microseconds: no walk begins there, because it would lack hops
        self.gaps: list[tuple[int, int]] = []
        self._open: dict[Key, list[Walk]] = {}  # identical packets, in the order of their first hops
        self._older: dict[Key, list[Walk]] = {}
        self._turned = 0
        self._count = 0
        self._virtual: dict[tuple[str, str, str], str] = {}  # protocol, client, server: the virtual endpoint
        self.left_out = 0  # packets not shown, since the reader last set it to 0
        self.seen = 0  # packets, shown or not

    @property
    def rate(self) -> float:
        """The limit of packets shown per second; 0 if there is none."""
        return self._budget.rate or 0.0

    def learn(self, protocol: str, client: str, vip: str, server: str) -> None:
        """Remember a connection from the director's events."""
        if len(self._virtual) >= _MOST_KNOWN:
            del self._virtual[next(iter(self._virtual))]
        self._virtual[protocol, client, server] = vip

    def _learn_from(self, connection: str, frame: Frame) -> None:
        """Learn from a request whose destination is now a real server: VS-NAT."""
        protocol, client, vip = connection.split(" ")
        if frame.ip and frame.l4:
            self.learn(protocol, client, vip, endpoint(frame.ip.dst, frame.l4.dport))

    def item(self, record: Record) -> dict[str, Any] | None:
        """The frame as an item, without its id; None if it is left out."""
        mark = self._mark(record) if self._budget.rate is not None else None
        if mark is not None and not self._is_shown(mark, record):
            return None
        frame = dissect(record.raw, record.ethernet)
        mac = self._macs.get(record.interface, "")
        if (
            frame is None
            or _is_noise(frame)
            or (frame.is_unicast and mac and mac not in (frame.src, frame.dst))
        ):
            return None
        direction = self._direction(frame)
        key = self._key(frame, direction)
        walk = self._walk(key, record, frame, mark is not None) if key else Walk(None, record.at)
        if key and walk.number is None:
            return None
        if not key and not self._budget.takes(record.at, True):
            self.left_out += 1
            return None
        changed = differences(walk.frame, frame) if walk.frame else []
        walk.connection = walk.connection or self._connection(frame, direction)
        if direction == REQUEST and walk.connection and frame.ip and frame.ip.dst not in self.vips:
            self._learn_from(walk.connection, frame)
        item = {
            "kind": "packet",
            "host": record.interface.rsplit("-", 1)[0],
            "interface": record.interface,
            **as_json(frame),
            "walk": walk.number,
            "hop": walk.hops,
            "changed": changed,
            "connection": walk.connection,
            "direction": direction,
        }
        walk.frame = frame
        walk.hops += 1
        return item

    # ---- which walk ----

    def _is_shown(self, mark: bytes, record: Record) -> bool:
        """Whether the packet with this mark is shown, as decided at its first hop."""
        self._forget(record.at)
        shown = self._marks.get(mark)
        if shown is None:
            shown = self._older_marks.get(mark)
        if shown is None:
            ends_or_opens = bool(mark[-1] & _FINAL_BITS)
            shown = self._begins(record.at, ends_or_opens)
        self._marks[mark] = shown
        return shown

    def _begins(self, now: int, important: bool) -> bool:
        """Decide at a packet's first hop whether it is shown."""
        self.seen += 1
        if any(begin < now <= end for begin, end in self.gaps):
            self.left_out += 1
            return False
        if self._budget.takes(now, important):
            return True
        self.left_out += 1
        return False

    def _walk(self, key: Key, record: Record, frame: Frame, is_shown: bool) -> Walk:
        """The walk that this frame belongs to; `is_shown`: the packet is already known to be shown."""
        self._forget(record.at)
        place = (record.interface, frame.src)
        alike = self._open.get(key) or self._older.get(key) or []
        walk = _next_of(alike, place, record.at)
        if walk is None:
            flags = frame.l4.flags if frame.l4 else ""
            important = not flags or bool(_FINAL & set(flags))
            walk = Walk(None, record.at)
            if is_shown or self._begins(record.at, important):
                self._count += 1
                walk.number = self._count
            alike = [*alike[-_MOST_ALIKE:], walk]
        self._open[key] = alike
        walk.last = record.at
        walk.places.add(place)
        return walk

    def _forget(self, now: int) -> None:
        """Drop old walks, a whole generation at a time."""
        if now - self._turned > 2 * _LIFE:
            self._older, self._open, self._turned = self._open, {}, now
            self._older_marks, self._marks = self._marks, {}
            self.gaps = [gap for gap in self.gaps if gap[1] > now - _LIFE]

    def _mark(self, record: Record) -> bytes | None:
        """Bytes that identify a TCP or UDP packet at all its hops; TCP's flags come last.

        They cost a tenth of `dissect`. None if the whole frame must be dissected: IP options, extension
        headers, UDP over IPv6, an identification of 0.
        """
        raw = record.raw
        at = _ETHERNET if record.ethernet else 0
        if raw[at : at + 1] == _IPV6:
            return self._mark6(raw, at)
        if raw[at + 9 : at + 10] == _IN_TUNNEL:
            at += _IP
        if len(raw) < at + _LEAST or raw[at : at + 1] != _PLAIN:
            return None
        if raw[at + 4 : at + 6] == b"\0\0" or raw[at + 9] not in (6, 17):
            return None
        if raw[at + 12 : at + 16] in self._raw_clients:
            end = raw[at + 12 : at + 16] + raw[at + 20 : at + 22]
        elif raw[at + 16 : at + 20] in self._raw_clients:
            end = raw[at + 16 : at + 20] + raw[at + 22 : at + 24] + b"r"
        else:
            return None
        return raw[at + 4 : at + 6] + end + (raw[at + 33 : at + 34] if raw[at + 9] == _TCP else b"\0")

    def _mark6(self, raw: bytes, at: int) -> bytes | None:
        """The same for IPv6, without an identification: TCP's sequence numbers and the length replace it."""
        if raw[at + 6 : at + 7] in _INNER6:
            at += _IP6
        if len(raw) < at + _IP6 + _LEAST_TCP or raw[at : at + 1] != _IPV6 or raw[at + 6] != _TCP:
            return None
        if raw[at + 8 : at + 24] in self._raw_clients:
            end = raw[at + 8 : at + 24] + raw[at + 40 : at + 42]
        elif raw[at + 24 : at + 40] in self._raw_clients:
            end = raw[at + 24 : at + 40] + raw[at + 42 : at + 44] + b"r"
        else:
            return None
        rest = raw[at + 44 : at + 56] + raw[at + 60 : at + 40 + (raw[at + 52] >> 4) * 4]
        return raw[at + 4 : at + 6] + end + rest + raw[at + 53 : at + 54]

    def _key(self, frame: Frame, direction: str | None) -> Key | None:
        ip, l4 = frame.ip, frame.l4
        if ip is None or l4 is None or l4.kind == "fragment":
            return None
        if direction == REQUEST:
            end: Key = (ip.src, l4.sport)
        elif direction == REPLY:
            end = (ip.dst, l4.dport)
        else:
            end = (ip.src, l4.sport, ip.dst, l4.dport)
        numbers = (l4.seq, l4.ack, l4.length, l4.rest) if not ip.id else ()
        return (direction, l4.protocol, *end, ip.id, l4.flags, l4.kind, *numbers)

    # ---- what it belongs to ----

    def _direction(self, frame: Frame) -> str | None:
        if frame.ip is None:
            return None
        if frame.ip.src in self._clients:
            return REQUEST if frame.ip.dst not in self._clients else None
        return REPLY if frame.ip.dst in self._clients else None

    def _connection(self, frame: Frame, direction: str | None) -> str | None:
        """Its key, `TCP CLIENT VIRTUAL`, even if the packet has the real server's address, not the VIP."""
        ip, l4 = frame.ip, frame.l4
        if direction is None or ip is None or l4 is None or not (l4.sport or l4.dport):
            return None
        ends = endpoint(ip.src, l4.sport), endpoint(ip.dst, l4.dport)
        client, other = ends if direction == REQUEST else ends[::-1]
        if (ip.dst if direction == REQUEST else ip.src) in self.vips:
            return f"{l4.protocol} {client} {other}"
        virtual = self._virtual.get((l4.protocol, client, other))
        return f"{l4.protocol} {client} {virtual}" if virtual else None
