"""The initial set-up scripts of the exercises in which students build a virtual server.

They contain everything that is not about virtual servers; the rest is marked TO DO.
"""

from __future__ import annotations

from classroom.model import SERVERS, Edit

DIRECTOR = (
    Edit(
        "d",
        "director.sh",
        "ifconfig d-eth0:0 {vip}",
        "# TO DO: give this host the VIP on an alias, d-eth0:0.\n"
        "# TO DO: a host route to the VIP on that alias.",
    ),
    Edit("d", "director.sh", "route add -host {vip}"),
)
_RULES = """\
#!/bin/sh
# d: the rules. It may be run twice. The director's process must be running.
set -e

# Start with an empty table.
ippfvsadm -C
"""
_SERVER = """\
#!/bin/sh
# {host}: a real server. It may be run twice.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo 127.0.0.1 up
# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi
# A virtual Ethernet device computes no TCP checksums: have the kernel compute them.
ethtool -K {host}-eth0 tx off
# A clean interface: 0.0.0.0 removes what an earlier run has set.
ifconfig {host}-eth0 0.0.0.0
"""


def rules(*steps: str) -> Edit:
    """rules.sh with an empty table, and the steps to do."""
    return Edit("d", "rules.sh", put="\n".join((_RULES, *map(_to_do, steps))), whole=True)


def rules_for_replicas() -> Edit:
    """Steps for real servers that all have the same daemons, on the VIP's ports."""
    return rules(
        "http: connections to port 80 of the VIP go to rs1, rs2 and rs3.",
        "ftp: connections to port 21 of the VIP go to rs1, rs2 and rs3.",
    )


def server(*steps: str) -> Edit:
    """realserver.sh without addresses, and the steps to do."""
    return Edit(SERVERS, "realserver.sh", put="\n".join((_SERVER, *map(_to_do, steps))), whole=True)


def _to_do(step: str) -> str:
    return f"# TO DO: {step}"
