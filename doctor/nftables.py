"""Packet filters: the rules that nft lists, and what they do with one packet.

A packet is described by some facts: `{"ip saddr": "203.0.113.2", "icmp type": "destination-unreachable"}`. A
match on any other fact has an unknown result, except for interfaces, and for headers that the packet does not
have. `dropped` is certain: it never reports a packet that might pass. `suspects` are rules that may drop it,
depending on its length or TTL, on a rate, or on a random number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from operator import ge, gt, le, lt
from typing import Any

from doctor.state import FilterRule

Packet = Mapping[str, Any]

_FINAL = ("accept", "drop", "reject", "return")
_JUMPS = ("jump", "goto")
_TAKES = ("fwd", "queue", "synproxy")  # to another interface, to a program, to what answers for the server
_TRANSLATES = ("redirect", "dnat")
_TRANSLATES_SOURCE = ("snat", "masquerade")
_COUNTS = (
    *_FINAL,
    *_TAKES,
    *_JUMPS,
    *_TRANSLATES,
    *_TRANSLATES_SOURCE,
    "counter",
    "log",
    "comment",
    "mangle",
)
_INTERFACES = ("iifname", "oifname")
_DROPPED = ("drop", "reject", "fwd")
_MAY_DROP = (*_DROPPED, "queue", "synproxy")
_TRANSPORTS = ("tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "arp", "ether", "vlan")
_RANDOM = ("numgen", "jhash", "symhash")  # iptables -m statistic becomes numgen
_PORTS = ("tcp sport", "th sport", "tcp dport", "th dport")
_USUAL = {  # a connection that fetches some files, and its packets
    "ct packets": 1_000,
    "ct bytes": 1_000_000,
    **dict.fromkeys(("length", "ip length", "ip6 length"), 1_280),
}
_FULL = 1_500  # bytes of a packet
_USUAL_IN_ALL = 100_000_000  # bytes: all connections of an afternoon
_UNITS = {"bytes": 1, "kbytes": 2**10, "mbytes": 2**20, "gbytes": 2**30}  # of a quota
_TABLE = re.compile(r"table (\S+) (\S+) \{")
_HANDLE = re.compile(r"\s*(.*\S)\s+# handle (\d+)")
_SET = "@"  # before the name of a set
_DEEPEST = 16  # nested chains
_FAMILIES = {"arp": ("arp", "netdev"), "ip6": ("ip6", "inet", "netdev")}  # of chains, by a packet's protocol
_IPV4 = ("ip", "inet", "netdev")


def rules(listed: Iterable[Mapping[str, Any]], text: str) -> tuple[FilterRule, ...]:
    """The rules of a ruleset in nft's JSON, with their text from its listing."""
    listed = list(listed)
    chains = {_of(entry["chain"], "name"): entry["chain"] for entry in listed if "chain" in entry}
    sets = {_of(entry["set"], "name"): list(_elements(entry["set"])) for entry in listed if "set" in entry}
    texts = _texts(text)
    found = [
        _rule(rule, chains.get(_of(rule, "chain"), {}), texts)
        for entry in listed
        if "rule" in entry
        for rule in _expanded(entry["rule"], sets)
    ]
    return (*found, *map(_policy, (chain for chain in chains.values() if chain.get("policy") == "drop")))


def _elements(named: Mapping[str, Any]) -> Iterator[Any]:
    """The elements of a set; if packets may add some, also its name. (nft does not show the flag dynamic.)"""
    yield from named.get("elem", [])
    if {"dynamic", "timeout"} & set(named.get("flags", ())):
        yield f"{_SET}{named['name']}"


_Sets = Mapping[tuple[str, str, str], Sequence[Any]]


def _expanded(rule: Mapping[str, Any], sets: _Sets) -> Iterator[Mapping[str, Any]]:
    """The rule with the elements of named sets; a verdict map becomes one rule per element."""
    expressions = [_with_elements(expression, rule, sets) for expression in rule.get("expr", [])]
    vmap = next((expression["vmap"] for expression in expressions if "vmap" in expression), None)
    if not isinstance(vmap, Mapping) or not isinstance(vmap.get("data"), Mapping):
        yield {**rule, "expr": expressions}
        return
    others = [expression for expression in expressions if "vmap" not in expression]
    for value, verdict in vmap["data"].get("set", []):
        match = {"match": {"op": "==", "left": vmap["key"], "right": value}}
        yield {**rule, "expr": [*others, match, verdict]}


def _with_elements(expression: Mapping[str, Any], rule: Mapping[str, Any], sets: _Sets) -> Mapping[str, Any]:
    match = expression.get("match")
    if not isinstance(match, Mapping):
        return expression
    name = match.get("right")
    if not isinstance(name, str) or not name.startswith(_SET):
        return expression
    elements = sets.get((rule["family"], rule["table"], name[1:]))
    return expression if elements is None else {"match": {**match, "right": {"set": list(elements)}}}


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
        matches=(
            *_device(chain),
            *(expression for expression in expressions if not expression.keys() & set(_COUNTS)),
        ),
        text=texts.get((rule["family"], rule["table"], rule["handle"]), ""),
        changes=tuple(
            _name(expression["mangle"].get("key")) for expression in expressions if "mangle" in expression
        ),
    )


def _verdict(expression: Mapping[str, Any]) -> str:
    for name in _JUMPS:
        if name in expression:
            return f"{name} {expression[name]['target']}"
    for name in _TRANSLATES:
        if name in expression:
            to = expression[name] or {}
            if name == "dnat" and "addr" in to:
                return f"{name} {to['addr']} {to.get('port', '')}".strip()
            return f"redirect {to.get('port', '')}".strip()  # `dnat to :81` changes the port only
    for name in _TRANSLATES_SOURCE:
        if name in expression:
            return f"{name} {(expression[name] or {}).get('addr', '')}".strip()
    if "bypass" in (expression.get("queue") or {}).get("flags", ()):
        return "accept"  # if no program reads the queue
    return next((name for name in (*_FINAL, *_TAKES) if name in expression), "")


def _policy(chain: Mapping[str, Any]) -> FilterRule:
    place = (chain["family"], chain["table"], chain["name"], chain.get("hook", ""), chain.get("prio", 0))
    return FilterRule(*place, handle=0, verdict="drop", matches=tuple(_device(chain)), text="policy drop")


def _device(chain: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The device of a chain at ingress or egress, as a match of its rules."""
    if "dev" in chain:
        key = "oifname" if chain.get("hook") == "egress" else "iifname"
        right = chain["dev"] if isinstance(chain["dev"], str) else {"set": chain["dev"]}
        yield {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": right}}


def dropped(filters: Sequence[FilterRule], packet: Packet, *hooks: str) -> FilterRule | None:
    """The first rule at one of these hooks that drops the packet."""
    return next((rule for rule in _decisions(filters, packet, hooks) if rule.verdict in _DROPPED), None)


def suspects(filters: Sequence[FilterRule], packet: Packet, *hooks: str) -> Iterator[FilterRule]:
    """The rules at these hooks that drop or may drop the packet, in the order in which it meets them."""
    return (rule for rule in _met(filters, packet, hooks) if rule.verdict in _MAY_DROP)


def changes(filters: Sequence[FilterRule], packet: Packet, *hooks: str) -> FilterRule | None:
    """The first rule at these hooks that certainly sets a header field of the packet."""
    found = may_change(filters, packet, *hooks)
    return next((rule for rule in found if all(_is_met(match, packet) for match in rule.matches)), None)


def may_change(filters: Sequence[FilterRule], packet: Packet, *hooks: str) -> Iterator[FilterRule]:
    """The rules at these hooks that set a header field of the packet, or may."""
    return (rule for rule in _met(filters, packet, hooks) if rule.changes)


def drops_at_random(rule: FilterRule, packet: Packet) -> bool:
    """Whether only a random number, a counter or some bits of the client's port decide about the packet."""
    undecided = [match for match in rule.matches if _is_met(match, packet) is None]
    return bool(undecided) and all(map(_is_at_random, undecided))


def _is_at_random(expression: Mapping[str, Any]) -> bool:
    left = _left(expression)
    if isinstance(left, Mapping) and "&" in left:
        return _name(left["&"][0]) in _PORTS
    return _name(left).startswith(_RANDOM)


def drops_long(rule: FilterRule, packet: Packet) -> bool:
    """Whether a suspect drops packets that are full, or after a normal amount of data."""
    undecided = [match for match in rule.matches if _is_met(match, packet) is None]
    return bool(undecided) and all(map(_is_of_long, undecided))


def _is_of_long(expression: Mapping[str, Any]) -> bool:
    quota = expression.get("quota")
    if isinstance(quota, Mapping):
        return bool(quota.get("inv")) and _bytes(quota) < _USUAL_IN_ALL
    match = expression.get("match", {})
    most, right = _USUAL.get(_name(match.get("left")), 0), match.get("right")
    if isinstance(right, Mapping) and "range" in right and match.get("op") == "==":
        low, high = right["range"]
        return isinstance(low, int) and low < most and isinstance(high, int) and high > _FULL
    return match.get("op") in (">", ">=") and isinstance(right, int) and right < most


def _bytes(quota: Mapping[str, Any]) -> int:
    return int(quota.get("val", 0)) * _UNITS.get(str(quota.get("val_unit", "bytes")), 1)


def leads_to(rule: FilterRule) -> tuple[str, int]:
    """The address and port to which a redirection leads; empty and 0 if they are unchanged."""
    how, *to = rule.verdict.split()
    address = to.pop(0) if how == "dnat" else ""
    return address, int(to[0]) if to and to[0].isdigit() else 0


def redirection(filters: Sequence[FilterRule], packet: Packet, hook: str = "prerouting") -> FilterRule | None:
    """The rule that redirects an incoming packet to another port or address; at `output`, an outgoing one."""
    decisions = _decisions(filters, packet, (hook,))
    return next((rule for rule in decisions if rule.verdict.startswith(_TRANSLATES)), None)


def suspect_redirection(
    filters: Sequence[FilterRule], packet: Packet, hook: str = "prerouting"
) -> FilterRule | None:
    """The rule that redirects an incoming packet, or may, depending on a rate or a random number."""
    return next(
        (rule for rule in _met(filters, packet, (hook,)) if rule.verdict.startswith(_TRANSLATES)), None
    )


def translation(filters: Sequence[FilterRule], packet: Packet) -> FilterRule | None:
    """The rule that changes the source of a packet that leaves the host."""
    decisions = _decisions(filters, packet, ("postrouting",))
    return next((rule for rule in decisions if rule.verdict.startswith(_TRANSLATES_SOURCE)), None)


def _decisions(filters: Sequence[FilterRule], packet: Packet, hooks: Sequence[str]) -> Iterator[FilterRule]:
    """The deciding rule of each base chain at these hooks, in order."""
    for base in _bases(filters, packet, hooks):
        rule = _walk(filters, base, base.chain, packet, _DEEPEST)
        if rule:
            yield rule


def _bases(filters: Sequence[FilterRule], packet: Packet, hooks: Sequence[str]) -> Iterator[FilterRule]:
    """A rule of each base chain that the packet meets, in the order of hooks and priorities."""
    families = _FAMILIES.get(packet.get("protocol", ""), _IPV4)
    bases = {(rule.family, rule.table, rule.chain): rule for rule in filters if rule.hook in hooks}
    for base in sorted(bases.values(), key=lambda base: (hooks.index(base.hook), base.priority)):
        if base.family in families:
            yield base


def _walk(
    filters: Sequence[FilterRule], base: FilterRule, chain: str, packet: Packet, deep: int
) -> FilterRule | None:
    """The rule of a chain that certainly decides about the packet; the policy is the last."""
    for rule in _in_chain(filters, base, chain):
        met = [_is_met(match, packet) for match in rule.matches]
        may_pass = rule.verdict == "accept" and False not in met
        if not rule.verdict or not (all(met) or may_pass):
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


def _met(filters: Sequence[FilterRule], packet: Packet, hooks: Sequence[str]) -> Iterator[FilterRule]:
    """The rules that the packet meets or may meet at these hooks, in each chain up to one that decides."""
    for base in _bases(filters, packet, hooks):
        yield from _met_in(filters, base, base.chain, packet, _DEEPEST)


def _met_in(
    filters: Sequence[FilterRule], base: FilterRule, chain: str, packet: Packet, deep: int
) -> Iterator[FilterRule]:
    for rule in _in_chain(filters, base, chain):
        met = [_is_met(match, packet) for match in rule.matches]
        if False in met:
            continue
        if rule.verdict.startswith(_JUMPS):
            if deep:
                yield from _met_in(filters, base, rule.verdict.partition(" ")[2], packet, deep - 1)
        else:
            yield rule
        if rule.verdict in (*_FINAL, *_TAKES) and all(met):
            return


def _in_chain(filters: Iterable[FilterRule], base: FilterRule, chain: str) -> Iterator[FilterRule]:
    place = base.family, base.table, chain
    return (rule for rule in filters if (rule.family, rule.table, rule.chain) == place)


def _is_met(expression: Mapping[str, Any], packet: Packet) -> bool | None:
    """Whether the packet matches the expression; None if unknown."""
    match = expression.get("match")
    left, mask = _left(expression), None
    if not isinstance(match, Mapping):
        return None
    if isinstance(left, Mapping) and "&" in left:
        left, mask = left["&"]
    name = _name(left)
    if name in ("iif", "oif"):
        name += "name"  # iif compares indices, iifname names; nft prints names for both
    if name not in packet:
        return True if name in _INTERFACES else None if _has(packet, name) else False
    fact, operator, right = packet[name], match.get("op"), match.get("right")
    if isinstance(fact, frozenset):
        return _flags(fact, operator, right, mask)
    if mask is not None:
        return None
    if operator in _COMPARISONS:
        return _COMPARISONS[operator](fact, right) if _are_numbers(fact, right) else None
    values = list(_values(right))
    same = any(_is(fact, value) for value in values)
    if not same and any(isinstance(value, str) and value.startswith(_SET) for value in values):
        return None
    return not same if operator == "!=" else same


_COMPARISONS: Mapping[Any, Callable[[Any, Any], bool]] = {"<": lt, ">": gt, "<=": le, ">=": ge}


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, int) for value in values)


def _has(packet: Packet, name: str) -> bool:
    """Whether the packet may have such a field: a TCP packet has no UDP fields."""
    header = name.partition(" ")[0]
    if header in ("ip", "ip6"):
        return bool(header == packet.get("protocol", "ip"))
    protocols = packet.get("l4proto", packet.get("protocol"))
    known = protocols if isinstance(protocols, tuple) else (protocols,)
    return header not in _TRANSPORTS or header in known


def _flags(fact: frozenset[str], operator: Any, right: Any, mask: Any) -> bool:
    """TCP flags: `in` means any of them; `==` means exactly these, among the mask's."""
    wanted = frozenset(_words(right))
    if operator == "in":
        return bool(fact & wanted)
    same = (fact & frozenset(_words(mask)) if mask is not None else fact) == wanted
    return not same if operator == "!=" else same


def _words(value: Any) -> Iterator[str]:
    """`syn`, `["syn", "ack"]`, `{"|": ["syn", "ack"]}`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _words(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)


def _left(expression: Mapping[str, Any]) -> Any:
    match = expression.get("match")
    return match.get("left") if isinstance(match, Mapping) else None


def _name(left: Any) -> str:
    """`icmp type`, `ip saddr`, `l4proto`, `ct state`, `numgen random`."""
    if not isinstance(left, Mapping):
        return ""
    kind, what = next(iter(left.items()), ("", {}))
    if not isinstance(what, Mapping):
        return ""
    if kind == "meta":
        return str(what.get("key", ""))
    if kind == "payload":
        return f"{what.get('protocol', '')} {what.get('field', '')}"
    return f"{kind} {what.get('key') or what.get('mode') or what.get('name', '')}".strip()


def _values(right: Any) -> Iterator[Any]:
    if isinstance(right, list):
        for item in right:
            yield from _values(item)
    elif isinstance(right, Mapping) and "set" in right:
        yield from _values(right["set"])
    elif isinstance(right, Mapping) and "elem" in right:  # with a timeout, a counter or a comment
        yield from _values(right["elem"].get("val"))
    else:
        yield right


def _is(fact: Any, value: Any) -> bool:
    """Whether a rule's value matches a fact; a tuple lists the fact's spellings."""
    if isinstance(fact, tuple):
        return any(_is(item, value) for item in fact)
    if isinstance(value, Mapping) and "prefix" in value:
        prefix = value["prefix"]
        return _is_address(fact) and ip_address(fact) in ip_network(f"{prefix['addr']}/{prefix['len']}")
    if isinstance(value, Mapping) and "range" in value:
        low, high = value["range"]
        if _is_address(fact) and _is_address(low):
            first, last = ip_address(low), ip_address(high)
            return int(first) <= int(ip_address(fact)) <= int(last)
        return isinstance(fact, int) and isinstance(low, int) and low <= fact <= high
    return bool(fact == value)


def _is_address(fact: Any) -> bool:
    return isinstance(fact, str) and (fact.count(".") == 3 or fact.count(":") > 1)
