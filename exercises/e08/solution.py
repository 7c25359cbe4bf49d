"""A rule for what the clients ask for: TCP, port 80 of the VIP."""

from __future__ import annotations

from classroom.exercise import Repair, Solution

_PORT_2 = '$([ "{method}" = nat ] && echo 8000 || echo 80)'  # where the second real server listens in VS-NAT
_ADD = "ippfvsadm -A -t {vip}:80 -R"
_ALL = (
    f"{_ADD} {{rs1}}:80",
    f"{_ADD} {{rs2}}:{_PORT_2}",
    f"{_ADD} {{rs3}}:80",
    f"[ {{count}} -lt 4 ] || {_ADD} {{rs4}}:80",
)
_AGAIN = "sh rules.sh"
_COMMANDS = (
    ("sed -i '/:80 /s/^# //' rules.sh", _AGAIN),
    ("sed -i 's/:8080/:80/g' rules.sh", _AGAIN),
    ("sed -i 's/:443/:80/g' rules.sh", _AGAIN),
    ("sed -i 's/ -u / -t /' rules.sh", _AGAIN),
    _ALL,
)  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="no_service",
        host="d",
        evidence=("rules",),
        fails=("all_served", "fair_shares"),
        repairs=(Repair("d", commands),),
    )
    for commands in _COMMANDS
)
