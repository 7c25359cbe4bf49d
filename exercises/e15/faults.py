"""Senders leave checksums to their virtual network card: the real servers, or a client."""

from __future__ import annotations

from classroom.exercise import SERVERS, Edit, Fault

_OFF = "ethtool -K {host}-eth0 tx off"
_ON = "ethtool -K {host}-eth0 tx on"

FAULTS = (
    Fault((Edit(SERVERS, "realserver.sh", _OFF),), ("nat",)),
    Fault((Edit(SERVERS, "realserver.sh", _OFF, _ON),), ("nat",)),
    Fault((Edit("c1", "client.sh", _OFF),)),
    Fault((Edit("c1", "client.sh", _OFF, _ON),)),
)
