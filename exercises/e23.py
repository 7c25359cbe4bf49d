"""All three methods: the first visitors are served, and later ones are not."""

from __future__ import annotations

from classroom.checks.rush import guests_stay, rush_served, rush_shared
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    servers=(3, 4),
    checks=(rush_served, rush_shared, guests_stay),
)

# ---- Faults ----
# The director may have few connections at a time.

FAULTS = (Fault((Edit("d", "start.sh", "exec lvs-director", "{line} --conn-limit 24"),)),)

# ---- Solutions ----
# A director with room for the connections of some minutes.

_RESTART = (
    "pkill -f '[l]vs-director --method'",
    "while pgrep -f '[l]vs-director --method' > /dev/null; do sleep 0.1; done",
    "setsid sh start.sh > /dev/null 2>&1 &",
    "until ippfvsadm -L > /dev/null 2>&1; do sleep 0.1; done",
    "sh rules.sh",
)

SOLUTIONS = (
    Solution(
        cause="table_full",
        host="d",
        evidence=("connections", "process"),
        fails=("rush_served", "rush_shared"),
        repairs=(Repair("d", ("sed -i 's/--conn-limit 24/--conn-limit 65536/' start.sh", *_RESTART)),),
    ),
)
