"""The rules of nft rulesets, and what they do with a packet."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.nftables import (
    Packet,
    changes,
    dropped,
    drops_at_random,
    drops_long,
    redirection,
    rules,
    suspects,
)
from doctor.queries import reply_packet, request_packet

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


def vmap(*pairs: tuple[Any, dict[str, Any]]) -> dict[str, Any]:
    key = {"payload": {"protocol": "tcp", "field": "dport"}}
    return {"vmap": {"key": key, "data": {"set": [list(pair) for pair in pairs]}}}


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


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        ({"redirect": {"port": 81}}, "redirect 81"),
        ({"dnat": {"port": 81}}, "redirect 81"),
        ({"dnat": {"addr": "203.0.113.9", "port": 81}}, "dnat 203.0.113.9 81"),
        ({"dnat": {"addr": "203.0.113.9"}}, "dnat 203.0.113.9"),
        ({"fwd": {"dev": "lo"}}, "fwd"),
        ({"queue": {"num": 3}}, "queue"),
        ({"queue": {"num": 3, "flags": ["bypass"]}}, "accept"),
    ],
)
def test_where_a_statement_leads(statement: dict[str, Any], verdict: str) -> None:
    (found,) = rules([chain("guard", "prerouting"), rule("guard", statement)], "")
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("key", "op", "number", "expected"),
    [
        ("packets", ">", 6, True),
        ("bytes", ">=", 20_000, True),
        ("packets", ">", 1_000_000, False),
        ("packets", "<", 6, False),
        ("mark", ">", 6, False),
    ],
)
def test_a_rule_for_the_later_packets_of_a_connection(key: str, op: str, number: int, expected: bool) -> None:
    counted = match({"ct": {"key": key, "dir": "original"}}, number, op)
    listed = [chain("guard", "input"), rule("guard", field("tcp", "dport", 80), counted, DROP)]
    (found,) = suspects(rules(listed, ""), REQUEST, "input")
    assert drops_long(found, REQUEST) is expected


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ({"val": 1, "val_unit": "mbytes", "inv": True}, True),
        ({"val": 500, "val_unit": "bytes", "inv": True}, True),
        ({"val": 1, "val_unit": "gbytes", "inv": True}, False),
        ({"val": 1, "val_unit": "mbytes"}, False),
    ],
)
def test_a_quota_that_some_files_use_up(quota: dict[str, Any], expected: bool) -> None:
    listed = [chain("guard", "input"), rule("guard", field("tcp", "dport", 80), {"quota": quota}, DROP)]
    (found,) = suspects(rules(listed, ""), REQUEST, "input")
    assert drops_long(found, REQUEST) is expected


def test_what_another_interface_or_a_program_gets_does_not_pass() -> None:
    to_lo = rules([chain("guard", "input"), rule("guard", {"fwd": {"dev": "lo"}})], "")
    assert dropped(to_lo, REQUEST, "input")
    queued = rules([chain("guard", "input"), rule("guard", {"queue": {"num": 3}}), rule("guard", DROP)], "")
    assert not dropped(queued, REQUEST, "input")
    assert [found.verdict for found in suspects(queued, REQUEST, "input")] == ["queue"]


def test_a_set_to_which_packets_add_may_have_any_address() -> None:
    listed = rules([GROWING, IN, rule("guard", field("ip", "saddr", "@bad"), DROP)], "")
    assert not dropped(listed, REQUEST, "input")
    assert list(suspects(listed, REQUEST, "input"))


def test_a_redirected_port() -> None:
    listed = [
        chain("guard", "prerouting"),
        rule("guard", field("tcp", "dport", 80), {"redirect": {"port": 8000}}),
    ]
    assert redirection(rules(listed, ""), {"tcp dport": 80})
    assert not redirection(rules(listed, ""), {"tcp dport": 21})


REQUEST = request_packet("198.51.100.101", "203.0.113.1", 80)
REPLY = reply_packet("203.0.113.1", "198.51.100.101", 80)
IN, OUT = chain("guard", "input"), chain("guard", "output")
BAD = {"set": {"family": "ip", "table": "firewall", "name": "bad", "elem": ["192.0.2.1", "198.51.100.101"]}}
WIDE = {"set": {**BAD["set"], "elem": [{"range": ["198.51.100.1", "198.51.100.200"]}]}}
OTHERS = {"set": {**BAD["set"], "elem": ["192.0.2.1"]}}
TIMED = {"set": {**BAD["set"], "elem": [{"elem": {"val": "198.51.100.101", "expires": 60}}]}}
GROWING = {"set": {**OTHERS["set"], "flags": ["timeout"]}}
FLAGS, BOTH = {"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]
LIMIT = {"limit": {"rate": 1, "burst": 5, "per": "second", "inv": True}}
HALF = match({"numgen": {"mode": "random", "mod": 2, "offset": 0}}, 0)
LONG = match({"meta": {"key": "length"}}, 60, ">")


@pytest.mark.parametrize(
    ("listed", "packet", "lost"),
    [
        ([BAD, IN, rule("guard", field("ip", "saddr", "@bad"), DROP)], REQUEST, True),
        ([WIDE, IN, rule("guard", field("ip", "saddr", "@bad"), DROP)], REQUEST, True),
        ([OTHERS, IN, rule("guard", field("ip", "saddr", "@bad"), DROP)], REQUEST, False),
        ([TIMED, IN, rule("guard", field("ip", "saddr", "@bad"), DROP)], REQUEST, True),
        ([OTHERS, IN, rule("guard", field("ip", "saddr", "@bad", "!="), DROP)], REQUEST, True),
        ([IN, rule("guard", match({"&": [FLAGS, BOTH]}, "syn"), DROP)], REQUEST, True),
        ([OUT, rule("guard", match({"&": [FLAGS, BOTH]}, "syn"), DROP)], REPLY, False),
        ([OUT, rule("guard", match({"&": [FLAGS, {"|": BOTH}]}, {"|": BOTH}), DROP)], REPLY, True),
        ([OUT, rule("guard", match(FLAGS, "syn", "in"), DROP)], REPLY, True),
        ([OUT, rule("guard", match(FLAGS, "syn"), DROP)], REPLY, False),
        ([IN, rule("guard", match(FLAGS, "syn", "!="), DROP)], REQUEST, False),
        ([IN, rule("guard", field("tcp", "dport", 81, "<"), DROP)], REQUEST, True),
        ([IN, rule("guard", field("tcp", "dport", 80, ">"), DROP)], REQUEST, False),
        ([IN, rule("guard", vmap((80, DROP), (81, ACCEPT)))], REQUEST, True),
        ([IN, rule("guard", vmap((81, DROP), (80, ACCEPT)))], REQUEST, False),
        ([IN, rule("guard", LIMIT, DROP)], REQUEST, False),
        ([chain("guard", "input", "drop"), rule("guard", LIMIT, ACCEPT)], REQUEST, False),
    ],
)
def test_whether_a_request_or_its_reply_passes(
    listed: list[dict[str, Any]], packet: Packet, lost: bool
) -> None:
    assert (dropped(rules(listed, ""), packet, "input", "output") is not None) is lost


_SPORT = {"payload": {"protocol": "tcp", "field": "sport"}}
SOME_PORTS = {"match": {"op": "==", "left": {"&": [_SPORT, 31]}, "right": 3}}
BY_HASH = {"match": {"op": "==", "left": {"jhash": {"mod": 2, "expr": _SPORT}}, "right": 0}}


@pytest.mark.parametrize(
    ("low", "high", "long"), [(1000, 65535, True), (400, 500, False), (1400, 9000, False)]
)
def test_a_range_of_lengths_that_has_full_packets(low: int, high: int, long: bool) -> None:
    match = {"op": "==", "left": {"meta": {"key": "length"}}, "right": {"range": [low, high]}}
    (dropping,) = rules([IN, rule("guard", {"match": match}, DROP)], "")
    assert drops_long(dropping, REQUEST) == long


@pytest.mark.parametrize(
    ("expressions", "is_suspect", "at_random"),
    [
        ([LIMIT, DROP], True, False),
        ([LONG, DROP], True, False),
        ([HALF, DROP], True, True),
        ([HALF, LONG, DROP], True, False),
        ([SOME_PORTS, DROP], True, True),
        ([BY_HASH, DROP], True, True),
        ([field("tcp", "dport", 80), HALF, DROP], True, True),
        ([field("tcp", "dport", 22), HALF, DROP], False, False),
        ([field("udp", "dport", 80), LIMIT, DROP], False, False),
        ([HALF, ACCEPT], False, False),
        ([field("tcp", "dport", 80), DROP], True, False),
    ],
)
def test_rules_that_may_drop_a_packet(
    expressions: list[dict[str, Any]], is_suspect: bool, at_random: bool
) -> None:
    found = list(suspects(rules([IN, rule("guard", *expressions)], ""), REQUEST, "input"))
    assert bool(found) is is_suspect
    assert any(drops_at_random(filter_rule, REQUEST) for filter_rule in found) is at_random


def test_what_is_certain_ends_the_search_for_suspects() -> None:
    certain = rule("guard", field("tcp", "dport", 80), ACCEPT)
    listed = [chain("guard", "input", "drop"), certain, rule("guard", LIMIT, DROP)]
    assert list(suspects(rules(listed, ""), REQUEST, "input")) == []


def test_no_rules() -> None:
    assert rules([{"metainfo": {"version": "1.0.6"}}], "") == ()


@pytest.mark.parametrize(
    ("device", "interface", "lost"),
    [("d-eth0", "d-eth0", True), ("d-eth0", "d-eth1", False), (["d-eth0", "d-eth1"], "d-eth1", True)],
)
def test_a_chain_of_a_device_is_about_no_other(device: Any, interface: str, lost: bool) -> None:
    at_egress = chain("guard", "egress")
    at_egress["chain"]["dev"] = device
    packet = {**request_packet("198.51.100.101", "203.0.113.1", 80), "oifname": interface}
    for listed in ([at_egress, rule("guard", DROP)], [{"chain": {**at_egress["chain"], "policy": "drop"}}]):
        assert (dropped(rules(listed, ""), packet, "egress") is not None) == lost


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ({"tcp option": {"name": "maxseg", "field": "size"}}, "tcp option maxseg"),
        ({"tcp option": {"base": 253, "offset": 0, "len": 8}}, "tcp option"),
        ({"meta": {"key": "mark"}}, "mark"),
        ({"ct": {"key": "mark"}}, "ct mark"),
    ],
)
def test_the_name_of_what_a_rule_changes(key: dict[str, Any], name: str) -> None:
    (changing,) = rules([FORWARD, rule("guard", {"mangle": {"key": key, "value": 1}})], "")
    assert changing.changes == (name,)


def test_what_a_rule_changes_is_no_condition() -> None:
    ttl = {"mangle": {"key": {"payload": {"protocol": "ip", "field": "ttl"}}, "value": 1}}
    (changing,) = rules([FORWARD, rule("guard", field("tcp", "dport", 80), ttl)], "")
    assert (changing.changes, len(changing.matches)) == (("ip ttl",), 1)
    for port, found in ((80, changing), (81, None)):
        packet = request_packet("198.51.100.101", "203.0.113.1", port)
        assert changes([changing], packet, "forward") == found
