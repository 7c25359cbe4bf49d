"""Our director, engine ebpf: a BPF program in the kernel."""

from __future__ import annotations

from bench.peers import _director
from bench.site import Site

ABOUT = "our director, engine ebpf: a BPF program in the kernel"
METHODS = ("nat", "tun", "dr")
OFFLOAD = True


def cannot() -> str:
    return _director.cannot("ebpf")


def set_up(site: Site) -> None:
    _director.set_up(site, "ebpf")
