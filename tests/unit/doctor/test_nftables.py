"""The rules of nft rulesets, and what they do with a packet."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.nftables import dropped, redirected, rules

MESSAGE = {
    "l4proto": ("icmp", 1),
    "icmp type": ("destination-unreachable", 3),
    "icmp code": ("frag-needed", 4),
    "ip saddr": ("203.0.113.2", "203.0.113.1"),
    "ip daddr": "198.51.100.101",
    "ct state": "related",
}
TEXT = """table ip firewall { # handle 1
	chain guard { # handle 1
		type filter hook forward priority filter; policy accept;
		icmp type destination-unreachable drop # handle 2
	}
}
"""


def chain(name: str, hook: str = "", policy: str = "accept", priority: int = 0) -> dict[str, Any]:
    based = {"hook": hook, "prio": priority, "policy": policy, "type": "filter"} if hook else {}
    return {"chain": {"family": "ip", "table": "firewall", "name": name, **based}}


def rule(name: str, *expressions: dict[str, Any], handle: int = 2) -> dict[str, Any]:
    place = {"family": "ip", "table": "firewall", "chain": name, "handle": handle}
    return {"rule": {**place, "expr": list(expressions)}}


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def field(protocol: str, name: str, right: Any, op: str = "==") -> dict[str, Any]:
    return match({"payload": {"protocol": protocol, "field": name}}, right, op)


DROP, ACCEPT, COUNT = {"drop": None}, {"accept": None}, {"counter": {"packets": 3, "bytes": 84}}
UNREACHABLE = field("icmp", "type", "destination-unreachable")
PING = field("icmp", "type", {"set": ["echo-request", "echo-reply"]})
FORWARD = chain("guard", "forward")


@pytest.mark.parametrize(
    ("listed", "lost"),
    [
        ([FORWARD, rule("guard", UNREACHABLE, COUNT, DROP)], True),
        ([FORWARD, rule("guard", UNREACHABLE, COUNT)], False),
        ([FORWARD, rule("guard", UNREACHABLE, ACCEPT), rule("guard", DROP)], False),
        ([FORWARD, rule("guard", field("icmp", "type", PING["match"]["right"], "!="), DROP)], True),
        ([FORWARD, rule("guard", PING, DROP)], False),
        ([FORWARD, rule("guard", match({"meta": {"key": "l4proto"}}, "icmp"), DROP)], True),
        ([FORWARD, rule("guard", match({"meta": {"key": "l4proto"}}, "tcp"), DROP)], False),
        ([FORWARD, rule("guard", match({"meta": {"key": "iifname"}}, "r0-eth1"), UNREACHABLE, DROP)], True),
        (
            [
                FORWARD,
                rule("guard", field("ip", "saddr", {"prefix": {"addr": "203.0.113.0", "len": 24}}), DROP),
            ],
            True,
        ),
        (
            [FORWARD, rule("guard", field("ip", "saddr", {"prefix": {"addr": "10.0.0.0", "len": 8}}), DROP)],
            False,
        ),
        ([FORWARD, rule("guard", field("ip", "daddr", "198.51.100.102"), DROP)], False),
        ([FORWARD, rule("guard", field("icmp", "code", {"range": [3, 5]}), DROP)], True),
        ([FORWARD, rule("guard", {"xt": {"type": "match", "name": "icmp"}}, DROP)], False),
        ([chain("guard", "forward", "drop"), rule("guard", PING, ACCEPT)], True),
        (
            [
                chain("guard", "forward", "drop"),
                rule("guard", match({"ct": {"key": "state"}}, ["established", "related"]), ACCEPT),
            ],
            False,
        ),
        ([chain("guard", "input", "drop")], False),
        (
            [
                FORWARD,
                chain("icmp"),
                rule("guard", {"jump": {"target": "icmp"}}),
                rule("icmp", UNREACHABLE, DROP),
            ],
            True,
        ),
        (
            [FORWARD, chain("icmp"), rule("guard", {"jump": {"target": "icmp"}}), rule("icmp", PING, DROP)],
            False,
        ),
        ([FORWARD, rule("guard", {"jump": {"target": "guard"}})], False),
    ],
)
def test_whether_a_message_passes(listed: list[dict[str, Any]], lost: bool) -> None:
    assert (dropped(rules(listed, ""), MESSAGE, "prerouting", "forward") is not None) is lost


def test_a_rule_has_its_text() -> None:
    found = dropped(rules([FORWARD, rule("guard", UNREACHABLE, DROP)], TEXT), MESSAGE, "forward")
    assert found is not None
    assert (found.text, found.handle) == ("icmp type destination-unreachable drop", 2)


def test_a_redirected_port() -> None:
    listed = [
        chain("guard", "prerouting"),
        rule("guard", field("tcp", "dport", 80), {"redirect": {"port": 8000}}),
    ]
    assert redirected(rules(listed, ""), {"tcp dport": 80})
    assert not redirected(rules(listed, ""), {"tcp dport": 21})


def test_no_rules() -> None:
    assert rules([{"metainfo": {"version": "1.0.6"}}], "") == ()
