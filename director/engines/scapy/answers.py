"""What the director says itself, by ICMP: unreachable, too long for the way, too long on the way, wrong.

RFC 792; RFC 1191 for the MTU in "fragmentation needed"; RFC 1122, 3.2.2, and RFC 1812, 4.3.2, for
how much to quote, how urgent it is, and when to be silent.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from director.core.decision import Reject
from director.engines.scapy.layers import ICMP, IP

_QUOTED = 548  # bytes of the packet: with both headers 576 in all
_TTL = 64
_URGENT, _SERVICE = 0xC0, 0x1E  # precedence of control traffic; the type of service that was asked for


def may_be_told(address: str) -> bool:
    """Whether `address` is one machine's own: no answer goes to a group, or to nobody."""
    to = IPv4Address(address)
    return not (to.is_multicast or to.is_loopback or to.is_unspecified or int(to) >= 0xF0000000)


def answer(decision: Reject, packet: bytes, own_address: str) -> bytes:
    """The IP packet that tells the sender of `packet` what became of it."""
    to = IP(packet[:20]).src
    says = ICMP(type=decision.icmp_type, code=decision.icmp_code)
    if decision.mtu:
        says.nexthopmtu = decision.mtu
    if decision.pointer:
        says.ptr = decision.pointer
    tos = _URGENT | packet[1] & _SERVICE
    return bytes(IP(src=own_address, dst=to, ttl=_TTL, tos=tos) / says / packet[:_QUOTED])
