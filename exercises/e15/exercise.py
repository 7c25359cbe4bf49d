"""All three methods: the VIP answers pings, and no connection ever comes about."""

from __future__ import annotations

from classroom.checks.checksums import none_damaged, vip_pinged
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="Ping works",
    methods=("nat", "tun", "dr"),
    checks=(vip_pinged, all_served, fair_shares, none_damaged),
    userspace_switches=True,
)
