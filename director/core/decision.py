"""What the director does with a packet: the core's answer to an engine.

Every decision carries its reasons, so that lvs-explain prints what was really decided, not a second
opinion. Values only: nothing here looks at tables or packets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from director.core.packet import Endpoint
from director.core.real_server import Method


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the packet on. `source` and `destination` are the endpoints it leaves with.

    `next_hop` is the address whose route and MAC decide where the frame goes: the real server for a request,
    the client for a reply that VS-NAT rewrites. `vip` is the virtual IP address of the connection.
    `sequence_delta` and `acknowledgement_delta` are added to the TCP header (modulo 2^32); `payload`
    replaces the data where a helper has rewritten it. With `may_fragment`, a tunnel may fragment a packet
    with DF set (pmtu_disc 0). With `without_sack`, a SYN must not offer selective acknowledgements
    (RFC 2018): they contain sequence numbers, which a helper would have to shift as well.
    For an ICMP error, `embedded_source` or `embedded_destination` replaces that of the quoted packet.
    """

    method: Method
    source: Endpoint
    destination: Endpoint
    next_hop: str
    vip: str
    reasons: tuple[str, ...]
    sequence_delta: int = 0
    acknowledgement_delta: int = 0
    payload: bytes | None = None
    may_fragment: bool = False
    without_sack: bool = False
    embedded_source: Endpoint | None = None
    embedded_destination: Endpoint | None = None


class PathMtu(NamedTuple):
    """The MTU of the path to an address, in bytes, as a router on it has reported."""

    address: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Neither a server nor the director's own kernel gets the packet.

    `awaits_reassembly`: it is a fragment; ask again when its packet is complete.
    """

    reasons: tuple[str, ...]
    path_mtu: PathMtu | None = None
    awaits_reassembly: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """Drop the packet and send an ICMP error (RFC 792): `icmp_type`, `icmp_code`, for 3/4 the `mtu` in bytes.

    For type 12, `pointer` is the byte of the IP header that is wrong. With `tunnelled`, the packet is itself
    an ICMP error about one that went into a tunnel: the sender of the packet inside the tunnel gets the
    error, and `path_mtu` is what the packet has reported about the tunnel's path.
    """

    icmp_type: int
    icmp_code: int
    reasons: tuple[str, ...]
    mtu: int = 0
    pointer: int = 0
    tunnelled: bool = False
    path_mtu: PathMtu | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """The director's own kernel gets the packet, as if there were no virtual service."""

    reasons: tuple[str, ...]


Decision = Forward | Drop | Reject | Pass
