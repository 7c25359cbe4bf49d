"""Keys and values of the program's tables, as bytes; program/maps.h has the same shapes.

Addresses and ports are as the network has them; the other numbers are in the machine's order.
"""

from __future__ import annotations

from functools import lru_cache
from socket import inet_aton, inet_ntoa
from struct import Struct
from typing import NamedTuple

from director.core.packet import Endpoint
from director.core.persistence import TemplateKey
from director.core.real_server import Method
from director.core.states import State

STATES = tuple(State)
METHODS = tuple(Method)

REPLY, UPCALL, CORE_OWNED, FAST_REPLY, REMOVED = 0x40, 0x80, 0x100, 0x200, 0x400
MAX_PACKETS = 9  # that are counted of one connection
UNCHANGED = 2**64 - 1  # a time that does not change
_STATE, _METHOD, _METHOD_AT = 0x0F, 0x30, 4

FLOW_KEY = Struct("=4s4s2s2sB3x")
ENTRY = Struct("=QIHBx4s2sH24s")
UPDATE = Struct("=16sIIQI4x")
SERVICE_KEY = Struct("=4s2sBx")
SERVICE = Struct("=7I4sQ")
SERVER = Struct("=4s2sH4s5I4i")
STATS = Struct("=5Q")
CORE_STATS = Struct("=5q")
PREFIX = Struct("=I4s")
ROUTE = Struct("=I4s6sH")
NEIGHBOUR_KEY = Struct("=I4s")
NEIGHBOUR = Struct("=6s2x")
EVENT = Struct("=QII16sI4s2sB5xQ")
OPENED, STATE_CHANGED, REPLIED, EXPIRED = range(4)  # what has happened
TEMPLATE_KEY = Struct("=4s4s2sBx")
TEMPLATE = Struct("=QII")
NO_NEXT_HOP = bytes(24)  # a way that has to be found yet: version 0 is never that of the settings


class Entry(NamedTuple):
    """One entry of the connection table."""

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
        return METHODS[(self.flags & _METHOD) >> _METHOD_AT]

    @property
    def endpoint(self) -> Endpoint:
        return endpoint(self.address, self.port)

    @classmethod
    def from_bytes(cls, value: bytes) -> Entry:
        return cls._make(ENTRY.unpack(value))

    def __bytes__(self) -> bytes:
        return ENTRY.pack(*self)


def make_flags(state: State, method: Method, flags: int = 0) -> int:
    return STATES.index(state) | METHODS.index(method) << _METHOD_AT | flags


def state_of(of_word: int) -> State:
    return STATES[of_word & _STATE]


def with_state(before: int, state: State) -> int:
    return before & ~_STATE | STATES.index(state)


@lru_cache(maxsize=65536)
def address(text: str) -> bytes:
    return inet_aton(text)


def port(number: int) -> bytes:
    return number.to_bytes(2, "big")


def endpoint(four: bytes, two: bytes) -> Endpoint:
    return Endpoint(inet_ntoa(four), int.from_bytes(two, "big"))


def flow_key(protocol: int, source: Endpoint, destination: Endpoint) -> bytes:
    """The key of the packets from `source` to `destination`."""
    return FLOW_KEY.pack(
        address(source.address),
        address(destination.address),
        port(source.port),
        port(destination.port),
        protocol,
    )


def parse_flow_key(key: bytes) -> tuple[int, Endpoint, Endpoint]:
    """Protocol, source and destination of a key."""
    source, destination, sport, dport, protocol = FLOW_KEY.unpack(key)
    return protocol, endpoint(source, sport), endpoint(destination, dport)


def template_key(key: TemplateKey) -> bytes:
    """The key of a template."""
    return TEMPLATE_KEY.pack(address(key.network), address(key.vip.address), port(key.vip.port), key.protocol)


def parse_template_key(key: bytes) -> TemplateKey:
    """The same the other way round."""
    network, vip, at, protocol = TEMPLATE_KEY.unpack(key)
    return TemplateKey(protocol, inet_ntoa(network), endpoint(vip, at))
