"""All three methods: the first visitors are served, and later ones are not."""

from __future__ import annotations

from classroom.checks.rush import guests_stay, rush_served, rush_shared
from classroom.model import Edit, Exercise, Fault, Repair, Solution
from doctor.queries import RESTART_DIRECTOR

EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    servers=(3, 4),
    checks=(rush_served, rush_shared, guests_stay),
)

# ---- Faults ----
# The director accepts only a few connections at once.

FAULTS = (Fault((Edit("d", "start.sh", "exec lvs-director", "{line} --conn-limit 24"),)),)

# ---- Solutions ----
# A director with room for the connections of some minutes.

SOLUTIONS = (
    Solution(
        cause="table_full",
        host="d",
        evidence=("connections", "process"),
        fails=("rush_served", "rush_shared"),
        repairs=(
            Repair("d", ("sed -i 's/--conn-limit 24/--conn-limit 65536/' start.sh", *RESTART_DIRECTOR)),
        ),
    ),
)
