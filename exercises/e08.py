"""All three methods: the web site refuses every connection at once; everything seems to be running."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from classroom.checks.ftp import ftp_connects
from classroom.checks.service import all_served, fair_shares
from classroom.model import Change, Edit, Exercise, Fault, Repair, Solution, Variant
from labs.plan import Plan
from realserver_setup.build import DirectorSetup, Rule

EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    checks=(all_served, fair_shares, ftp_connects),
)

# ---- Faults ----
# The rules for http are missing, or have another port or protocol.

_HTTP = 80


def _http_rules(change: Callable[[Rule], Rule]) -> Change:
    """Change every rule for http."""

    def changed(plan: Plan, variant: Variant) -> Plan:
        setups = tuple(
            replace(setup, rules=tuple(change(rule) if rule.port == _HTTP else rule for rule in setup.rules))
            if isinstance(setup, DirectorSetup)
            else setup
            for setup in plan.setups
        )
        return replace(plan, setups=setups)

    return changed


def _at(port: int) -> Fault:
    """Move the rules to another port; only VS-NAT still delivers to the servers' own."""

    def moved(rule: Rule) -> Rule:
        return replace(rule, port=port, server_port=port if rule.server_port == _HTTP else rule.server_port)

    return Fault(change=_http_rules(moved))


_OUT = Fault((Edit("d", "rules.sh", "-t {vip}:80 ", "# {line}"),))
_UDP = Fault(change=_http_rules(lambda rule: replace(rule, protocol="udp")))
_GONE = Fault((Edit("d", "rules.sh", "-t {vip}:80 "),))

FAULTS = (_OUT, _at(8080), _at(443), _UDP, _GONE)

# ---- Solutions ----
# Rules for what clients request: TCP, port 80 of the VIP.

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
