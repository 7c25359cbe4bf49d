"""Our director, engine ebpf, with --short-cut: frames skip the director's end of the cable they leave by."""

from __future__ import annotations

from bench import director
from bench.testbed import Testbed

ABOUT = "the same with --short-cut: frames skip the director's end of the cable they leave by"
METHODS = ("nat", "tun", "dr")
OFFLOAD = True


def cannot() -> str:
    return director.cannot("ebpf")


def set_up(testbed: Testbed) -> None:
    director.set_up(testbed, "ebpf", "--short-cut")
