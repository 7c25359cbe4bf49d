"""A real server's default gateway: none, one that does not exist, or another real server."""

from __future__ import annotations

from classroom.exercise import SERVER, Edit, Fault

_GATEWAY = "route add default gw"


def _put(line: str) -> Fault:
    return Fault((Edit(SERVER, "realserver.sh", _GATEWAY, line),))


FAULTS = (_put(""), _put(f"{_GATEWAY} 172.16.0.254"), _put(f"{_GATEWAY} {{other_rip}}"))
