"""Set-up scripts of the exercises in which a virtual server is built: what is there when it begins.

What has nothing to do with virtual servers is given; what has is a line that says TO DO.
"""

from __future__ import annotations

from classroom.model import SERVERS, Edit

DIRECTOR = (
    Edit(
        "d",
        "director.sh",
        "ifconfig d-eth0:0 {vip}",
        "# TO DO: give this host the VIP on such an alias, d-eth0:0.\n"
        "# TO DO: a route that says: the host VIP is on that alias.",
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

# The loopback device, by which a host talks to itself.
ifconfig lo 127.0.0.1 up
# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi
# {host}-eth0: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K {host}-eth0 tx off
# A clean interface: 0.0.0.0 takes away what an earlier run has set.
ifconfig {host}-eth0 0.0.0.0
"""


def rules(*steps: str) -> Edit:
    """rules.sh with an empty table, and what is to be done."""
    return Edit("d", "rules.sh", put="\n".join((_RULES, *map(_to_do, steps))), whole=True)


def rules_for_replicas() -> Edit:
    """Where every real server has the same daemons on the VIP's own ports."""
    return rules(
        "http: connections to port 80 of the VIP go to rs1, rs2 and rs3.",
        "ftp: connections to port 21 of the VIP go to rs1, rs2 and rs3.",
    )


def server(*steps: str) -> Edit:
    """realserver.sh without any address, and what is to be done."""
    return Edit(SERVERS, "realserver.sh", put="\n".join((_SERVER, *map(_to_do, steps))), whole=True)


def _to_do(step: str) -> str:
    return f"# TO DO: {step}"
