"""nftables' destination NAT: what people take who need no load balancer, or have one server."""

from __future__ import annotations

import shutil

from bench.testbed import SERVER, VIP, Testbed

ABOUT = "nftables DNAT"
METHODS = ("nat",)
OFFLOAD = True
_RULES = f"""\
table ip bench {{
    chain before {{
        type nat hook prerouting priority dstnat;
        ip daddr {VIP} dnat to {SERVER}
    }}
}}
"""


def cannot() -> str:
    return "" if shutil.which("nft") else "The program nft is missing: install the package nftables."


def set_up(testbed: Testbed) -> None:
    testbed.run("d", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    testbed.run("d", "nft", "-f", "-", text=_RULES)
