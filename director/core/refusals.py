"""Why a packet can't go on: it has been on the way too long, or is too long for the way.

Source: RFC 1812, 5.3.1, for the time to live; RFC 1191 for the length; RFC 2003 for a tunnel's.
"""

from __future__ import annotations

from collections.abc import Callable

from director.core.decision import Reject
from director.core.icmp import FRAGMENTATION_NEEDED, IPIP_HEADER, TIME_EXCEEDED, UNREACHABLE
from director.core.packet import Packet
from director.core.real_server import Method


class Refusals:
    """`mtu_of` gives the longest packet, in bytes, that fits on the way to an address."""

    def __init__(self, mtu_of: Callable[[str], int]) -> None:
        self.mtu_of = mtu_of

    def of(self, packet: Packet, to: str, method: Method, *, pmtu_disc: bool) -> Reject | None:
        """What its sender is told, or None where the packet can go on to `to`.

        Without `pmtu_disc`, a tunnel cuts up what its sender has forbidden to.
        """
        if method is Method.LOCAL:
            return None
        if packet.ttl <= 1:
            return Reject(TIME_EXCEEDED, 0, (f"TTL {packet.ttl}",))
        tunnel = method is Method.TUN
        if not packet.dont_fragment or (tunnel and not pmtu_disc):
            return None
        mtu = self.mtu_of(to) - (IPIP_HEADER if tunnel else 0)
        longest = packet.largest_fragment or packet.length
        if longest <= mtu:
            return None
        reason = f"{longest} bytes with DF, and {mtu} fit on the way to {to}"
        return Reject(UNREACHABLE, FRAGMENTATION_NEEDED, (reason,), mtu)
