"""Our director, engine ebpf: a BPF program in the kernel."""

from __future__ import annotations

from bench import director
from bench.testbed import Testbed

ABOUT = "our director, engine ebpf: a BPF program in the kernel"
METHODS = ("nat", "tun", "dr")
OFFLOAD = True


def cannot() -> str:
    return director.cannot("ebpf")


def set_up(testbed: Testbed) -> None:
    director.set_up(testbed, "ebpf")
