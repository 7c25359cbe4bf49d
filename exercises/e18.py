"""All three methods: connections are accepted, and some are never answered."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served, fair_shares
from classroom.model import SERVER, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    checks=(all_served, fair_shares, one_answer),
)

# ---- Faults ----
# A backup has stopped an httpd, and nothing continues it. Its kernel still accepts connections.

_BACKUP = """
# The backup copies the pages: meanwhile the httpd must not write.
(
    pid="$(dirname '{work}')/servers/{host}/nginx.pid"
    until [ -s "$pid" ]; do sleep 0.1; done
    kill -STOP "$(cat "$pid")"
) < /dev/null > /dev/null 2>&1 &"""

FAULTS = (Fault((Edit(SERVER, "realserver.sh", put=_BACKUP),)),)

# ---- Solutions ----
# Continue the process.

SOLUTIONS = (
    Solution(
        cause="frozen",
        host=SERVER,
        evidence=("process", "listening", "capture"),
        fails=("all_served", "fair_shares"),
        repairs=(Repair(SERVER, ("kill -CONT $(cat ../../servers/{server}/nginx.pid)",)),),
    ),
)
