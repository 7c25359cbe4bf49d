"""Two directors: the standby does not receive connections, so a takeover would break them all."""

from __future__ import annotations

from classroom.checks.service import all_served
from classroom.checks.two_directors import one_owner, standby_knows
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(methods=("ha",), checks=(standby_knows, one_owner, all_served))

# ---- Faults ----
# The standby listens for messages with another number, or on another network.

_LINE = "lvs_sync_daemon d2-eth1"
_WRONG = ("lvs_sync_daemon d2-eth1 inst VIP id 15", "lvs_sync_daemon d2-eth0 inst VIP id 51")
FAULTS = tuple(Fault((Edit("d2", "keepalived.conf", _LINE, f"    {wrong}"),)) for wrong in _WRONG)

# ---- Solutions ----
# As on the active director; lvs-vrrp starts the synchronisation daemon again.

_RIGHT = "lvs_sync_daemon d2-eth1 inst VIP id 51"
_RESTART = (
    "pkill -f '[r]esync --events .*events-d2'",
    "while pgrep -f '[r]esync --events .*events-d2' > /dev/null; do sleep 0.1; done",
    "setsid sh takeover.sh > /dev/null 2>&1 &",
    "until ipvsadm -L --daemon | grep -q '^backup .*mcast=d2-eth1, syncid=51'; do sleep 0.1; done",
)
SOLUTIONS = tuple(
    Solution(
        cause="sync_differs",
        host="d2",
        evidence=("configuration", "capture"),
        fails=("standby_knows",),
        repairs=(Repair("d2", (f"sed -i 's/{wrong}/{_RIGHT}/' keepalived.conf", *_RESTART)),),
    )
    for wrong in _WRONG
)
