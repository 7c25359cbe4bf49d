"""The few Scapy layers that matter to a director, imported fast and nothing besides."""

from __future__ import annotations

import logging

from scapy.config import conf

logging.getLogger("scapy.runtime").setLevel(logging.CRITICAL)  # no advice on every odd packet
conf.ipv6_enabled = False  # not spoken here, and half of the import time

from scapy.arch.linux import L2Socket  # noqa: E402
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.l2 import ARP, Ether  # noqa: E402

__all__ = ["ARP", "ICMP", "IP", "TCP", "UDP", "Ether", "L2Socket", "conf"]
