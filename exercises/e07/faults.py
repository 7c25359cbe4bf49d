"""A real server reaches the private network, or the half of it with the client, without the director."""

from __future__ import annotations

from classroom.exercise import SERVER, Edit, Fault

_REMOVED = "route del -net 172.16.0.0"
_HALF = """
# The machines of the computing centre are near.
route add -net 172.16.0.0 netmask 255.255.255.128 dev {interface}"""

FAULTS = (
    Fault((Edit(SERVER, "realserver.sh", _REMOVED),)),
    Fault((Edit(SERVER, "realserver.sh", put=_HALF),)),
)
