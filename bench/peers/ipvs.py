"""Kernel IPVS, with the rules of our director."""

from __future__ import annotations

from bench.peers import _director
from bench.site import Site

ABOUT = "kernel IPVS, with the rules of our director"
METHODS = ("nat", "tun", "dr")
OFFLOAD = True


def cannot() -> str:
    return _director.cannot("ipvs")


def set_up(site: Site) -> None:
    _director.set_up(site, "ipvs")
