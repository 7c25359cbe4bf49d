"""Two directors: a check asks for the wrong thing, and a healthy real server is out of service."""

from __future__ import annotations

from classroom.checks.service import all_served, fair_shares
from classroom.checks.two_directors import both_use_all, dead_taken_out
from classroom.model import DIRECTORS, Edit, Exercise, Fault, Repair, Solution
from labs.run.takeover import RELOAD_CHECKS

EXERCISE = Exercise(methods=("ha",), checks=(all_served, fair_shares, both_use_all, dead_taken_out))

# ---- Faults ----
# One server has a second check, of a page or a port that it does not have.

_SERVER = "real_server {rip} 80 {"
_DIRECTORS = ("d1", "d2")
_CHECKS = (
    "HTTP_GET {\n            url {\n                path /health\n            }\n        }",
    "TCP_CHECK {\n            connect_port 8080\n        }",
)
FAULTS = tuple(
    Fault(
        tuple(
            Edit(director, "keepalived.conf", _SERVER, "{line}\n        " + check) for director in _DIRECTORS
        )
    )
    for check in _CHECKS
)

# ---- Solutions ----
# Check what users need, on both directors; lvs-monitor rereads its file.

_REPAIRS = ("s,path /health,path /name,", "s,connect_port 8080,connect_port 80,")
SOLUTIONS = tuple(
    Solution(
        cause="check_wrong",
        host=DIRECTORS,
        evidence=("configuration", "log", "rules"),
        fails=("fair_shares", "both_use_all"),
        repairs=tuple(
            Repair(
                director,
                (
                    f"sed -i '{repair}' keepalived.conf",
                    RELOAD_CHECKS.format(director=director),
                    "until ipvsadm -Ln | grep -q '{rip}:80 '; do sleep 0.1; done",
                ),
            )
            for director in _DIRECTORS
        ),
    )
    for repair in _REPAIRS
)
