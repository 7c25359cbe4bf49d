"""Weight 0: what is there goes on, nothing new comes."""

from __future__ import annotations

from classroom.exercise import Repair, Solution
from exercises.e12.faults import DELETES, QUIESCES

_OPTION = "$(case {method} in nat) echo -m;; tun) echo -i;; *) echo -g;; esac)"

SOLUTIONS = tuple(
    Solution(
        cause="server_deleted",
        host="d",
        evidence=("connections", "rules"),
        fails=("talks_go_on",),
        repairs=(Repair("d", (f'sed -i "s/^{line}/{QUIESCES} {_OPTION}/" drain.sh',)),),
    )
    for line in DELETES
)
