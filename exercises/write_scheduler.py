"""Write a scheduler: a class with two methods."""

from __future__ import annotations

import sys

from classroom.checks.service import all_served
from classroom.checks.student_scheduler import (
    FILE,
    STARTERS,
    TEST_FILE,
    own_tests,
    quiesced_left_out,
    spread_smoothly,
)
from classroom.model import WORKDIR, Edit, Exercise, Repair, Solution, Variant


def _files(variant: Variant) -> dict[str, str]:
    return {name: (STARTERS / name).read_text() for name in (FILE, TEST_FILE)}


EXERCISE = Exercise(
    methods=("nat",),
    servers=(3,),
    checks=(own_tests, spread_smoothly, quiesced_left_out, all_served),
    base=(Edit("d", "start.sh", "exec ", f"{{line}} --scheduler-file '{{work}}/{FILE}'"),),
    files=_files,
    diagnosis=False,
)

# ---- Solutions ----
# `python -m exercises.write_scheduler` prints one way to write it.

_COMMAND = f"{sys.executable} -m exercises.write_scheduler"

SOURCE = '''\
"""Smooth weighted round robin: the largest credit wins and pays for all; source: nginx."""


class Scheduler:
    def __init__(self):
        self.credit = {}

    def pick(self, servers, packet, now):
        able = [server for server in servers if server.available]
        if not able:
            return None
        for server in able:
            self.credit[server] = self.credit.get(server, 0) + server.weight
        best = max(able, key=self.credit.__getitem__)
        why = f"smooth: credit {self.credit[best]} is the largest"
        self.credit[best] -= sum(server.weight for server in able)
        return best, why

    def changed(self, servers):
        self.credit = {server: credit for server, credit in self.credit.items() if server in servers}
'''

SOLUTIONS = (
    Solution(
        fails=("own_tests", "spread_smoothly", "quiesced_left_out"),
        repairs=(Repair("d", (f"{_COMMAND} > ../../{WORKDIR}/{FILE}",)),),
    ),
)

if __name__ == "__main__":
    sys.stdout.write(SOURCE)
