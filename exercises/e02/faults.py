"""arp_ignore is set where it changes nothing: on lo, or for interfaces that are yet to come."""

from __future__ import annotations

from classroom.exercise import SERVERS, Edit, Fault

_SETTING = "/arp_ignore"


def _on(interface: str) -> Fault:
    put = f"echo 1 > /proc/sys/net/ipv4/conf/{interface}/arp_ignore"
    return Fault((Edit(SERVERS, "realserver.sh", _SETTING, put),))


FAULTS = (_on("lo"), _on("default"))
