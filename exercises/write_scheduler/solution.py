"""The scheduler as it can be written: `python -m exercises.write_scheduler.solution` prints it."""

from __future__ import annotations

import sys

from classroom.exercise import WORK, Repair, Solution

_ITSELF = f"{sys.executable} -m exercises.write_scheduler.solution"

SOURCE = '''\
"""Smooth weighted round robin: the heaviest credit wins and pays for all; source: nginx."""


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
        repairs=(Repair("d", (f"{_ITSELF} > ../../{WORK}/smooth.py",)),),
    ),
)

if __name__ == "__main__":
    sys.stdout.write(SOURCE)
