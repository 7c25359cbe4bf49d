"""Two directors: a server in maintenance is removed from the rules instead of being quiesced."""

from __future__ import annotations

from classroom.checks.service import all_served
from classroom.checks.two_directors import both_keep_it, no_new_users, users_finish
from classroom.model import Edit, Exercise, Fault, Repair, Solution
from labs.run.takeover import RELOAD_CHECKS

_DIRECTORS = ("d1", "d2")
_CONF = "keepalived.conf"

EXERCISE = Exercise(
    methods=("ha",),
    checks=(users_finish, no_new_users, both_keep_it, all_served),
    base=tuple(
        edit
        for director in _DIRECTORS
        for edit in (
            Edit(director, _CONF, "path /name", "                path /index.html"),
            Edit(director, _CONF, "lvs_method DR", "{line}\n    inhibit_on_failure"),
        )
    ),
    diagnosis=False,  # a monitor that removes failed servers is right in other labs: no host is at fault
)

# ---- Faults ----
# Without inhibit_on_failure, a server that fails its check loses its rule, and its users.

FAULTS = (Fault(tuple(Edit(director, _CONF, "inhibit_on_failure") for director in _DIRECTORS)),)

# ---- Solutions ----
# Weight 0 for a server that fails, on both directors.

SOLUTIONS = (
    Solution(
        fails=("users_finish", "both_keep_it"),
        repairs=tuple(
            Repair(
                director,
                (
                    f"sed -i 's/lvs_method DR/lvs_method DR\\n    inhibit_on_failure/' {_CONF}",
                    RELOAD_CHECKS.format(director=director),
                    f"until grep -q 'Loaded again' ../../logs/monitor-{director}.log; do sleep 0.1; done",
                ),
            )
            for director in _DIRECTORS
        ),
    ),
)
