"""How a real server's kernel treats ARP requests for the VIP."""

from __future__ import annotations

import json

from doctor.state import HostState

SILENT = (1, 2, 8)  # values of arp_ignore: it answers for the asked interface's own addresses, or not at all
_SILENT_FOR_HOSTS, _SILENT_FOR_ALL = 3, 8  # 3: about addresses of scope host


def is_silenced(host: HostState, vip: str) -> bool:
    """Whether requests for the VIP stay without an answer of this host."""
    lan = host.main.interface
    ignore = host.setting("arp_ignore", lan)
    held = [one for one in host.addresses if one.address == vip and one.up]
    if ignore == _SILENT_FOR_HOSTS:
        return all(one.scope in ("host", "link") for one in held) or _is_filtered(host, vip)
    quiet = ignore in SILENT and not any(one.interface == lan for one in held)
    return quiet or ignore == _SILENT_FOR_ALL or _is_filtered(host, vip)


def _is_filtered(host: HostState, vip: str) -> bool:
    """By a rule about ARP that names it."""
    return any(
        rule.family == "arp" and rule.verdict == "drop" and vip in json.dumps(rule.matches)
        for rule in host.filters
    )
