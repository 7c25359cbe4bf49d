"""Packet filters: the rules that nft lists, and what they do with one packet.

A packet is described by some facts: `{"ip saddr": "203.0.113.2", "icmp type": "destination-unreachable"}`.
A match on any other fact counts as false, unless it is about interfaces: a packet that might pass is never
reported as dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from doctor.state import FilterRule

Packet = Mapping[str, Any]

_FINAL = ("accept", "drop", "reject", "return")
_JUMPS = ("jump", "goto")
_TRANSLATES = ("redirect", "dnat")
_TRANSLATES_SOURCE = ("snat", "masquerade")
_COUNTS = (*_FINAL, *_JUMPS, *_TRANSLATES, *_TRANSLATES_SOURCE, "counter", "log", "comment")
_INTERFACES = ("iifname", "oifname", "iif", "oif")
_DROPPED = ("drop", "reject")
_TABLE = re.compile(r"table (\S+) (\S+) \{")
_HANDLE = re.compile(r"\s*(.*\S)\s+# handle (\d+)")
_DEEPEST = 16  # nested chains


def rules(listed: Iterable[Mapping[str, Any]], text: str) -> tuple[FilterRule, ...]:
    """The rules of a ruleset in nft's JSON, with their text from its listing."""
    listed = list(listed)
    chains = {_of(one["chain"], "name"): one["chain"] for one in listed if "chain" in one}
    texts = _texts(text)
    found = [
        _rule(one["rule"], chains.get(_of(one["rule"], "chain"), {}), texts)
        for one in listed
        if "rule" in one
    ]
    return (*found, *map(_policy, (chain for chain in chains.values() if chain.get("policy") == "drop")))


def _of(thing: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    return thing["family"], thing["table"], thing[name]


def _texts(listing: str) -> dict[tuple[str, str, int], str]:
    """Each rule's text, by family, table and handle."""
    found: dict[tuple[str, str, int], str] = {}
    family = table = ""
    for line in listing.splitlines():
        if begins := _TABLE.match(line):
            family, table = begins[1], begins[2]
        elif (rule := _HANDLE.match(line)) and not rule[1].endswith("{"):
            found[family, table, int(rule[2])] = rule[1]
    return found


def _rule(
    rule: Mapping[str, Any], chain: Mapping[str, Any], texts: Mapping[tuple[str, str, int], str]
) -> FilterRule:
    expressions: Sequence[Mapping[str, Any]] = rule.get("expr", [])
    return FilterRule(
        family=rule["family"],
        table=rule["table"],
        chain=rule["chain"],
        hook=chain.get("hook", ""),
        priority=chain.get("prio", 0),
        handle=rule["handle"],
        verdict=next(filter(None, map(_verdict, expressions)), ""),
        matches=tuple(one for one in expressions if not one.keys() & set(_COUNTS)),
        text=texts.get((rule["family"], rule["table"], rule["handle"]), ""),
    )


def _verdict(expression: Mapping[str, Any]) -> str:
    for name in _JUMPS:
        if name in expression:
            return f"{name} {expression[name]['target']}"
    for name in _TRANSLATES:
        if name in expression:
            return f"{name} {(expression[name] or {}).get('port', '')}".strip()
    for name in _TRANSLATES_SOURCE:
        if name in expression:
            return f"{name} {(expression[name] or {}).get('addr', '')}".strip()
    return next((name for name in _FINAL if name in expression), "")


def _policy(chain: Mapping[str, Any]) -> FilterRule:
    place = (chain["family"], chain["table"], chain["name"], chain.get("hook", ""), chain.get("prio", 0))
    return FilterRule(*place, handle=0, verdict="drop", text="policy drop")


def dropped(filters: Sequence[FilterRule], packet: Packet, *hooks: str) -> FilterRule | None:
    """The first rule at one of these hooks that drops the packet."""
    return next((rule for rule in _decisions(filters, packet, hooks) if rule.verdict in _DROPPED), None)


def redirected(filters: Sequence[FilterRule], packet: Packet) -> bool:
    """Whether a rule redirects an incoming packet to another port or address."""
    return any(rule.verdict.startswith(_TRANSLATES) for rule in _decisions(filters, packet, ("prerouting",)))


def translation(filters: Sequence[FilterRule], packet: Packet) -> FilterRule | None:
    """The rule that changes the source of a packet which leaves the host."""
    decisions = _decisions(filters, packet, ("postrouting",))
    return next((rule for rule in decisions if rule.verdict.startswith(_TRANSLATES_SOURCE)), None)


def _decisions(filters: Sequence[FilterRule], packet: Packet, hooks: Sequence[str]) -> Iterator[FilterRule]:
    """The deciding rule of each base chain at these hooks, in order."""
    bases = {(one.family, one.table, one.chain): one for one in filters if one.hook in hooks}
    for base in sorted(bases.values(), key=lambda one: (hooks.index(one.hook), one.priority)):
        if base.family in ("ip", "inet", "netdev"):
            rule = _walk(filters, base, base.chain, packet, _DEEPEST)
            if rule:
                yield rule


def _walk(
    filters: Sequence[FilterRule], base: FilterRule, chain: str, packet: Packet, deep: int
) -> FilterRule | None:
    """The rule of a chain that decides about the packet; the policy is the last."""
    for rule in _in_chain(filters, base, chain):
        if not rule.verdict or not all(_is_met(match, packet) for match in rule.matches):
            continue
        if rule.verdict == "return":
            return None
        if rule.verdict.startswith(_JUMPS):
            how, _, target = rule.verdict.partition(" ")
            found = _walk(filters, base, target, packet, deep - 1) if deep else None
            if found or how == "goto":
                return found
        else:
            return rule
    return None


def _in_chain(filters: Iterable[FilterRule], base: FilterRule, chain: str) -> Iterator[FilterRule]:
    place = base.family, base.table, chain
    return (rule for rule in filters if (rule.family, rule.table, rule.chain) == place)


def _is_met(expression: Mapping[str, Any], packet: Packet) -> bool:
    match = expression.get("match")
    if not isinstance(match, Mapping):
        return False
    name = _name(match.get("left"))
    if name not in packet:
        return name in _INTERFACES
    same = any(_is(packet[name], value) for value in _values(match.get("right")))
    return not same if match.get("op") == "!=" else same


def _name(left: Any) -> str:
    """`icmp type`, `ip saddr`, `l4proto`, `ct state`."""
    if not isinstance(left, Mapping):
        return ""
    kind, what = next(iter(left.items()), ("", {}))
    if not isinstance(what, Mapping):
        return ""
    if kind == "meta":
        return str(what.get("key", ""))
    if kind == "payload":
        return f"{what.get('protocol', '')} {what.get('field', '')}"
    return f"{kind} {what.get('key', '')}"


def _values(right: Any) -> Iterator[Any]:
    if isinstance(right, list):
        for one in right:
            yield from _values(one)
    elif isinstance(right, Mapping) and "set" in right:
        yield from _values(right["set"])
    else:
        yield right


def _is(fact: Any, value: Any) -> bool:
    """Whether a rule's value matches a fact, which may have several spellings."""
    if isinstance(fact, tuple):
        return any(_is(one, value) for one in fact)
    if isinstance(value, Mapping) and "prefix" in value:
        prefix = value["prefix"]
        return _is_address(fact) and IPv4Address(fact) in IPv4Network(f"{prefix['addr']}/{prefix['len']}")
    if isinstance(value, Mapping) and "range" in value:
        low, high = value["range"]
        return isinstance(fact, int) and isinstance(low, int) and low <= fact <= high
    return bool(fact == value)


def _is_address(fact: Any) -> bool:
    return isinstance(fact, str) and fact.count(".") == 3
