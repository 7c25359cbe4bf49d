"""VS-TUN: requests reach a real server, which does not answer."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served, fair_shares
from classroom.model import SERVER, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("tun",),
    checks=(all_served, fair_shares, one_answer),
)

# ---- Faults ----
# rp_filter drops what comes out of tunl0: it is strict on tunl0, for all, or on each interface.

_SETTINGS = "/proc/sys/net/ipv4/conf"


def _strict(*interfaces: str) -> Fault:
    return Fault(tuple(_edit(interface) for interface in interfaces))


def _edit(interface: str) -> Edit:
    setting = f"{_SETTINGS}/{interface}/rp_filter"
    return Edit(SERVER, "realserver.sh", setting, f"echo 1 > {setting}")


_HARDENED = """
# Hardening: no packets with spoofed sources.
for setting in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > "$setting"; done"""

FAULTS = (_strict("tunl0"), _strict("all"), Fault((Edit(SERVER, "realserver.sh", put=_HARDENED),)))

# ---- Solutions ----
# The kernel accepts packets from the tunnel, whatever the route back to their source.

# In the order of the faults. The larger value counts; 2 only requires that a route exists.
_REPAIRS = (
    ("sysctl -w net.ipv4.conf.tunl0.rp_filter=0",),
    ("sysctl -w net.ipv4.conf.all.rp_filter=0",),
    ("sysctl -w net.ipv4.conf.tunl0.rp_filter=2",),
)

SOLUTIONS = tuple(
    Solution(
        cause="rp_filter",
        host=SERVER,
        evidence=("counters", "settings"),
        fails=("all_served", "fair_shares"),
        repairs=(Repair(SERVER, commands),),
    )
    for commands in _REPAIRS
)
