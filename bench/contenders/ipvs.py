"""Kernel IPVS, with the rules of our director."""

from __future__ import annotations

from bench import director
from bench.testbed import Testbed

ABOUT = "kernel IPVS, with the rules of our director"
METHODS = ("nat", "tun", "dr")
OFFLOAD = True


def cannot() -> str:
    return director.cannot("ipvs")


def set_up(testbed: Testbed) -> None:
    director.set_up(testbed, "ipvs")
