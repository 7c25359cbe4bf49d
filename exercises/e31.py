"""VS-DR in IPv6: the router takes over and denies that it is a router; learnt default routes disappear."""

from __future__ import annotations

from classroom.checks.learnt_routes import (
    ANNOUNCE,
    begin,
    route_kept,
    route_learnt,
    takeover_noticed,
)
from classroom.checks.service import all_served
from classroom.model import SERVERS, Edit, Exercise, Fault, Repair, Solution

_LEARN = "# Its router is what router advertisements say (accept_ra)."

EXERCISE = Exercise(
    methods=("dr",),
    family=6,
    checks=(route_learnt, takeover_noticed, route_kept, all_served),
    base=(
        Edit(
            SERVERS,
            "realserver.sh",
            "/accept_ra",
            "echo 1 > /proc/sys/net/ipv6/conf/{host}-eth0/accept_ra",
        ),
        Edit(SERVERS, "realserver.sh", "route -A inet6 add default", _LEARN),
    ),
    prepare=begin,
)

# ---- Faults ----
# The announcement lacks the flag; or the kernel's answers do, because forwarding is off on that interface,
# although `all` counts for what is forwarded.

_HARDENED = """
# Hardening: from the servers, this machine needs no forwarding.
echo 0 > /proc/sys/net/ipv6/conf/r0-eth1/forwarding"""

FAULTS = (
    Fault((Edit("r0", ANNOUNCE, "flags=", "flags=O"),)),
    Fault((Edit("r0", "router.sh", put=_HARDENED),)),
)

# ---- Solutions ----
# A router that says so.

SOLUTIONS = tuple(
    Solution(
        cause="router_flag_lost",
        host="r0",
        evidence=("capture", "neighbours", evidence),
        fails=("route_kept", "all_served"),
        repairs=(Repair("r0", (command, "sh advertise.sh")),),
    )
    for evidence, command in (
        ("configuration", f"sed -i 's/^flags=.*/flags=RO/' {ANNOUNCE}"),
        ("settings", "sysctl -qw net.ipv6.conf.r0-eth1.forwarding=1"),
    )
)
