"""What the director itself sends by ICMP, and how often.

Sources: RFC 792 and 4443; RFC 1191 for the MTU in "fragmentation needed"; RFC 1122, 3.2.2, and RFC 1812,
4.3.2, for how much to quote, which precedence to use, and when to be silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from director.core.decision import Reject
from director.core.family import IPV4, IPV6
from director.core.packet import ICMPV6
from director.engines.scapy.checksums import computed
from director.engines.scapy.headers import ICMP, IP, ICMPv6Header, IPHeader, IPv6Header

_QUOTED = 548  # bytes of the packet: with both headers 576 in all
_QUOTED_IPV6 = IPV6.min_path_mtu - IPV6.header - ICMPv6Header.size  # fits every path
_TTL = 64
_PRECEDENCE, _SERVICE = 0xC0, 0x1E  # "internetwork control"; the packet's own type of service
_ADDRESSES = 4096  # whose rates are remembered


def build(decision: Reject, packet: bytes, own_address: str) -> bytes:
    """The IP packet that tells the sender of `packet` why it was rejected."""
    about = header_of(packet)
    if isinstance(about, IPv6Header):
        return _build_ipv6(decision, packet, own_address, about.src)
    to = about.src
    message = ICMP(type=decision.icmp_type, code=decision.icmp_code)
    if decision.mtu:
        message.nexthopmtu = decision.mtu
    if decision.pointer:
        message.ptr = decision.pointer
    tos = _PRECEDENCE | packet[1] & _SERVICE
    return bytes(IP(src=own_address, dst=to, ttl=_TTL, tos=tos) / message / packet[:_QUOTED])


def _build_ipv6(decision: Reject, packet: bytes, own_address: str, to: str) -> bytes:
    icmp = ICMPv6Header(bytes(ICMPv6Header.size))
    icmp.type, icmp.code, icmp.number = decision.icmp_type, decision.icmp_code, decision.mtu
    message = bytes(icmp) + packet[:_QUOTED_IPV6]
    ip = IPv6Header(bytes([0x60]) + bytes(IPV6.header - 1))
    ip.len, ip.proto, ip.ttl, ip.src, ip.dst = len(message), ICMPV6, _TTL, own_address, to
    covered = bytes(ip.data[ip.ADDRESSES]) + len(message).to_bytes(4, "big") + bytes([0, 0, 0, ICMPV6])
    return bytes(ip) + message[:2] + computed(covered + message) + message[4:]


def header_of(packet: bytes) -> IPHeader | IPv6Header:
    """The IP header at the start of a packet."""
    return IPv6Header(packet) if packet[0] >> 4 == 6 else IPHeader(packet)


def may_receive(address: str) -> bool:
    """Whether `address` belongs to one host: no error goes to a group or an unspecified address."""
    to = ip_address(address)
    reserved = to.version == IPV4.version and int(to) >= 0xF0000000
    return not (to.is_multicast or to.is_loopback or to.is_unspecified or reserved)


@dataclass(slots=True)
class _Bucket:
    """A token bucket: `rate` tokens a second come in, until there are `burst`."""

    rate: float
    burst: float
    tokens: float
    filled: float  # when

    def take(self, now: float) -> bool:
        """Take a token; False if there is none."""
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class RateLimit:
    """A flood of packets must not become a flood of ICMP errors (RFC 1812, 4.3.2.8).

    As in Linux (icmp_ratelimit, icmp_msgs_per_sec): six errors at once to one address, then one a second;
    fifty at once to all addresses together, then a thousand a second.
    """

    def __init__(self) -> None:
        self._total = _Bucket(1000, 50, 50, 0.0)
        self._by_address: dict[str, _Bucket] = {}  # the oldest first

    def allow(self, address: str, now: float) -> bool:
        """Whether an error may be sent to `address` now."""
        bucket = self._by_address.get(address)
        if bucket is None:
            if len(self._by_address) >= _ADDRESSES:
                del self._by_address[next(iter(self._by_address))]
            bucket = self._by_address[address] = _Bucket(1, 6, 6, now)
        return bucket.take(now) and self._total.take(now)
