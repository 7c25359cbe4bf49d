"""A real server answers ARP for its lo:0: arp_ignore was never set, or switched off."""

from __future__ import annotations

from classroom.exercise import SERVER, Edit, Fault

_SETTING = "/proc/sys/net/ipv4/conf/{interface}/arp_ignore"

FAULTS = (
    Fault((Edit(SERVER, "realserver.sh", _SETTING),)),
    Fault((Edit(SERVER, "realserver.sh", _SETTING, f"echo 0 > {_SETTING}"),)),
)
