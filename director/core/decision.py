"""What the director does with a packet: the core's answer to an engine.

Every decision carries its reasons, so that `explain` prints what really decided and not a
second opinion. Values only: nothing here looks at tables or packets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from director.core.packet import Endpoint
from director.core.real_server import Method


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the packet on. `source` and `destination` are the endpoints it leaves with.

    `next_hop` is the address whose route and MAC decide where the frame goes: the real
    server for a request, the client for a reply that VS-NAT rewrites.
    `sequence_delta` and `acknowledgement_delta` are added to the TCP header (modulo 2^32);
    `payload` replaces the data when a helper rewrote it, None leaves it alone. With
    `may_fragment`, a tunnel may cut up what its sender has forbidden to (pmtu_disc 0). With
    `without_sack`, a SYN must not offer selective acknowledgements (RFC 2018): they name sequence
    numbers, too, and a helper that shifts those need not look for them then.
    Of an ICMP error, `embedded_source` or `embedded_destination` is what an end of the packet
    it speaks about becomes.
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
    """What fits on the way to an address, in bytes, as a router there has said."""

    address: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Nobody gets the packet: neither a server nor the director's own kernel.

    `waits`: it is a fragment; ask again when its packet is whole.
    """

    reasons: tuple[str, ...]
    path_mtu: PathMtu | None = None
    awaits_reassembly: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """Tell the sender by ICMP (RFC 792): `icmp_type`, `icmp_code`, for 3/4 the `mtu` in bytes.

    For 12, `pointer` is the byte of the IP header that is wrong.
    With `tunnelled`, the packet is itself an ICMP error about one that went into a tunnel, and
    whoever sent what was in the tunnel is told; `learnt` is what it has said about the tunnel's way.
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
    """The director's own kernel gets the packet, as if no virtual server existed."""

    reasons: tuple[str, ...]


Decision = Forward | Drop | Reject | Pass
