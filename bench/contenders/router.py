"""The director's kernel as a router: it forwards what is for the VIP, as it would for any host."""

from __future__ import annotations

from bench.testbed import SERVER, VIP, Testbed

ABOUT = "the director's kernel as a plain router, without a director"
METHODS = ("dr",)
OFFLOAD = True


def cannot() -> str:
    return ""


def set_up(testbed: Testbed) -> None:
    testbed.run("d", "ip", "addr", "del", f"{VIP}/32", "dev", "d-c")
    testbed.run("d", "ip", "route", "add", VIP, "via", SERVER)
    testbed.run("d", "sysctl", "-qw", "net.ipv4.ip_forward=1")
