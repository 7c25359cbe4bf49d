"""Our director, engine scapy: Python, packet by packet."""

from __future__ import annotations

from bench import director
from bench.site import Site

ABOUT = "our director, engine scapy: Python, packet by packet"
METHODS = ("nat", "tun", "dr")
OFFLOAD = False


def cannot() -> str:
    return director.cannot("scapy")


def set_up(site: Site) -> None:
    director.set_up(site, "scapy")
