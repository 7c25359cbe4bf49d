"""A real server asks for its router in the VIP's name: arp_announce not set, switched off, or too low.

At 1 it still does: the VIP is of the same network as the router that is asked for.
"""

from __future__ import annotations

from classroom.exercise import SERVER, Edit, Fault

_SETTING = "/proc/sys/net/ipv4/conf/{interface}/arp_announce"


def _put(line: str) -> Fault:
    return Fault((Edit(SERVER, "realserver.sh", _SETTING, line),))


FAULTS = (_put(""), _put(f"echo 0 > {_SETTING}"), _put(f"echo 1 > {_SETTING}"))
