"""VS-NAT and VS-DR: the VIP answers pings, and no connection is ever established."""

from __future__ import annotations

from classroom.checks.packet_properties import none_damaged, vip_pinged
from classroom.checks.service import all_served, fair_shares
from classroom.model import SERVERS, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("nat", "dr"),
    checks=(vip_pinged, all_served, fair_shares, none_damaged),
    userspace_switches=True,
)

# ---- Faults ----
# Senders leave checksums to their virtual network card: the real servers, or a client.

_OFF = "ethtool -K {host}-eth0 tx off"
_ON = "ethtool -K {host}-eth0 tx on"

FAULTS = (
    Fault((Edit(SERVERS, "realserver.sh", _OFF),), ("nat",)),
    Fault((Edit(SERVERS, "realserver.sh", _OFF, _ON),), ("nat",)),
    Fault((Edit("c1", "client.sh", _OFF),)),
    Fault((Edit("c1", "client.sh", _OFF, _ON),)),
)

# ---- Solutions ----
# The sender's kernel computes the checksums.

_OFF = "for i in $(ip -o link | grep -o '[a-z0-9]*-eth0'); do ethtool -K $i tx off; done"
_HOSTS = (SERVERS, SERVERS, "c1", "c1")  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="checksum_offload",
        host=host,
        evidence=("offloads", "counters", "capture"),
        fails=("all_served", "fair_shares", "none_damaged"),
        repairs=(Repair(host, (_OFF,)),),
    )
    for host in _HOSTS
)
