"""nftables' destination NAT: what people take who need no load balancer, or have one server."""

from __future__ import annotations

import shutil

from bench.site import SERVER, VIP, Site

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


def set_up(site: Site) -> None:
    site.run("d", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    site.run("d", "nft", "-f", "-", text=_RULES)
