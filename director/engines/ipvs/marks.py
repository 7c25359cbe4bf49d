"""Firewall marks for the kernel: netfilter puts them on packets before IPVS looks at those."""

from __future__ import annotations

from collections.abc import Sequence

from director.core.marks import Mark
from director.core.packet import TCP, UDP

_TABLE = "table ip lvs_marks"
_PROTOCOLS = {0: "{ tcp, udp }", TCP: "tcp", UDP: "udp"}


def script(marks: Sequence[Mark]) -> str:
    """For nft: it replaces what an earlier one has loaded. The first rule that a packet meets marks it."""
    begin = f"{_TABLE}\ndelete {_TABLE}\n"
    if not marks:
        return begin
    rules = "\n        ".join(map(_rule, marks))
    chain = "type filter hook prerouting priority mangle"
    return f"{begin}{_TABLE} {{\n    chain before_ipvs {{\n        {chain}\n        {rules}\n    }}\n}}\n"


def _rule(mark: Mark) -> str:
    protocol = f"meta l4proto {_PROTOCOLS[mark.protocol]}"
    ports = f"th dport {mark.first}-{mark.last}"
    return f"ip daddr {mark.network} {protocol} {ports} meta mark set {mark.mark} accept"
