"""Our director, engine ebpf, with --short-cut: frames skip the director's end of the cable they leave by."""

from __future__ import annotations

from bench.peers import _director
from bench.site import Site, rules

ABOUT = "the same with --short-cut: frames skip the director's end of the cable they leave by"
METHODS = ("nat", "tun", "dr")
OFFLOAD = True


def cannot() -> str:
    return _director.cannot("ebpf")


def set_up(site: Site) -> None:
    _director.set_up(site, "ebpf", rules(site.method), "--short-cut")
