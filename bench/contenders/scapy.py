"""Our director, engine scapy: Python, packet by packet."""

from __future__ import annotations

from bench import director
from bench.testbed import Testbed

ABOUT = "our director, engine scapy: Python, packet by packet"
METHODS = ("nat", "tun", "dr")
OFFLOAD = False


def cannot() -> str:
    return director.cannot("scapy")


def set_up(testbed: Testbed) -> None:
    director.set_up(testbed, "scapy")
