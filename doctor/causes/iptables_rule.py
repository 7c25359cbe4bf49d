"""A rule of the older iptables, which nft does not list, drops packets."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import ends_at
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, LabState

TITLE = "a rule of iptables-legacy drops packets"

_FEW = 3
_DROPS = (" -j DROP", " -j REJECT", " DROP")


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        rules = [rule for rule in host.legacy_rules if any(end in f"{rule} " for end in _DROPS)]
        if rules and ends_at(state, host):
            yield Cause(
                "iptables_rule",
                host.name,
                f"iptables-legacy-save has: {'; '.join(rules[:_FEW])}; packets of failed trials were last "
                f"seen on {host.name}",
                "The kernel still has the tables of the older iptables beside those of nftables, and a "
                "packet has to pass both. `nft list ruleset`, and the iptables of today, do not show them.",
                "\n".join(f"iptables-legacy {_undone(rule)}" for rule in rules),
            )


def _undone(rule: str) -> str:
    if " -P " in rule:
        return rule.replace(" DROP", " ACCEPT")
    return rule.replace(" -A ", " -D ", 1)
