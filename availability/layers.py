"""Scapy's layers of what is announced and advertised here, imported in half the time."""

from __future__ import annotations

from director.engines.scapy.headers import ARP, IP, Ether, conf

conf.route6_autoload = False  # the kernel's table is not needed: all addresses are given
from scapy.layers.inet import in4_chksum  # noqa: E402
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6, in6_chksum  # noqa: E402
from scapy.layers.vrrp import VRRP, VRRPv3  # noqa: E402
from scapy.packet import Raw  # noqa: E402
from scapy.utils import checksum  # noqa: E402

__all__ = [
    "ARP",
    "IP",
    "VRRP",
    "Ether",
    "ICMPv6NDOptDstLLAddr",
    "ICMPv6ND_NA",
    "IPv6",
    "Raw",
    "VRRPv3",
    "checksum",
    "in4_chksum",
    "in6_chksum",
]
