"""Our director, engine ebpf: a BPF program in the kernel."""

from __future__ import annotations

from bench import director
from bench.site import Site

ABOUT = "our director, engine ebpf: a BPF program in the kernel"
METHODS = ("nat", "tun", "dr")
OFFLOAD = True


def cannot() -> str:
    return director.cannot("ebpf")


def set_up(site: Site) -> None:
    director.set_up(site, "ebpf")
