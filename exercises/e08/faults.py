"""The rules for http are not there, or are about another port, another protocol or another address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from classroom.exercise import Change, Edit, Fault
from classroom.variants import Variant
from labs.plan import Plan
from realserver_setup.build import DirectorSetup, Rule

_HTTP = 80


def _each(change: Callable[[Rule], Rule]) -> Change:
    """Every rule for http, changed."""

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
    """Only VS-NAT could still deliver to the servers' own port."""

    def moved(rule: Rule) -> Rule:
        return replace(rule, port=port, server_port=port if rule.server_port == _HTTP else rule.server_port)

    return Fault(change=_each(moved))


_OUT = Fault((Edit("d", "rules.sh", "-t {vip}:80 ", "# {line}"),))
_UDP = Fault(change=_each(lambda rule: replace(rule, protocol="udp")))
_GONE = Fault((Edit("d", "rules.sh", "-t {vip}:80 "),))

FAULTS = (_OUT, _at(8080), _at(443), _UDP, _GONE)
