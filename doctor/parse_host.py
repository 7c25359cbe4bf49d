"""Parse the output of collect_host.py into the state of a host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from doctor.nftables import rules
from doctor.state import (
    Address,
    HostState,
    Link,
    Listener,
    Neighbour,
    NextHop,
    PolicyRule,
    Process,
    Route,
    Site,
    TrafficFilter,
)
from labs.literals import literal

_UNSPECIFIED = "::"  # what `ip -6 route get` prints where no source was given
_Entries = Iterable[Mapping[str, Any]]


def parse_host(host: HostState, printed: str) -> HostState:
    """The planned `host` with the state that was `printed`. Raises ValueError for other output."""
    try:
        seen = literal(printed)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"not output of collect_host.py: {printed!r:.60}") from None
    devices, routes, neighbours, policy, *next_hops = _lists(seen["ip"])
    return replace(
        host,
        links=tuple(map(_link, devices)),
        addresses=tuple(_addresses(devices, "inet6" if ":" in host.main.address else "inet")),
        routes=tuple(Route(*_way(one), kind=_kind(one)) for one in routes),
        neighbours=tuple(_neighbours(neighbours)),
        next_hops=tuple(_next_hop(one) for next_hop in next_hops for one in next_hop),
        settings=seen["settings"],
        offloads=seen["offloads"],
        counters=seen["counters"],
        listeners=tuple(Listener(*one) for one in seen["listeners"]),
        processes=tuple(Process(*one) for one in seen["processes"]),
        rules=tuple(_policy_rules(policy)),
        traffic_filters=tuple(
            TrafficFilter(interface, hook, _first_filter(printed)) for interface, hook, printed in seen["tc"]
        ),
        site=Site(unwritable=tuple(seen.get("unwritable", ()))),
        legacy_tables=tuple(seen.get("iptables", ())),
        legacy_rules=tuple(_legacy_rules(seen.get("iptables_rules", ""))),
        ipsec=tuple(_policies(seen.get("xfrm", ""))),
        filters=rules(json.loads(seen["nft"] or "{}").get("nftables", []), seen["rules"]),
    )


def _lists(text: str) -> list[list[Any]]:
    """Consecutive JSON lists; an unreachable target has none."""
    found, decoder, at = [], json.JSONDecoder(), text.find("[")
    while at >= 0:
        part, end = decoder.raw_decode(text, at)
        found.append(part)
        at = text.find("[", end)
    if len(found) < 4:
        raise ValueError(f"ip printed {len(found)} lists, expected 4 or more")
    return found


def _link(device: Mapping[str, Any]) -> Link:
    flags = device.get("flags", ())
    return Link(
        interface=device["ifname"],
        up="UP" in flags,
        carrier="NO-CARRIER" not in flags,
        mtu=device.get("mtu", 0),
        mac=device.get("address", "") if device.get("link_type") == "ether" else "",
        qdisc=device.get("qdisc", ""),
        arp="NOARP" not in flags,
        master=device.get("master", ""),
        xdp=device.get("xdp", {}).get("prog", {}).get("id", 0),
    )


def _addresses(devices: _Entries, family: str) -> Iterator[Address]:
    for device in devices:
        for one in device.get("addr_info", ()):
            if one.get("family") == family:
                yield Address(
                    interface=device["ifname"],
                    address=one["local"],
                    prefix=one["prefixlen"],
                    label=one.get("label", ""),
                    scope=one.get("scope", ""),
                    up="UP" in device.get("flags", ()),
                    detection=next((word for word in ("dadfailed", "tentative") if one.get(word)), ""),
                )


def _way(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return one["dst"], one.get("gateway", ""), one.get("dev", "")


def _kind(one: Mapping[str, Any]) -> str:
    """What makes a route other than an ordinary one."""
    kind = one.get("type", "")
    return "" if kind == "unicast" else str(kind)


def _next_hop(one: Mapping[str, Any]) -> NextHop:
    """An answer of `ip route get`."""
    return NextHop(
        *_way(one),
        source="" if one.get("from") == _UNSPECIFIED else one.get("from", ""),
        inbound=one.get("iif", ""),
        local=one.get("type") == "local",
        mtu=_metric(one, "mtu"),
        hoplimit=_metric(one, "hoplimit"),
    )


_GROUPS = ("01:", "33:33:", "ff:", "00:")  # beginnings of MAC addresses that no host has


def _metric(one: Mapping[str, Any], name: str) -> int:
    return next((int(each[name]) for each in one.get("metrics", ()) if name in each), 0)


def _neighbours(entries: _Entries) -> Iterator[Neighbour]:
    """Without the kernel's own for groups and for itself."""
    for one in entries:
        if "NOARP" in one.get("state", ()) and one.get("lladdr", "00:").startswith(_GROUPS):
            continue
        state = " ".join(one.get("state", ()))
        yield Neighbour(one["dst"], one.get("dev", ""), one.get("lladdr", ""), state, "router" in one)


_MATCHES = ("fwmark", "iif", "oif", "tos", "ipproto", "sport", "dport", "uid_start", "uid_end")
_OF_THE_KERNEL = ((0, "local"), (32766, "main"), (32767, "default"))


def _policy_rules(entries: _Entries) -> Iterator[PolicyRule]:
    """Those besides the kernel's own."""
    for one in entries:
        if (one.get("priority"), one.get("table")) in _OF_THE_KERNEL and one.get("src") == "all":
            continue
        words = [f"from {_prefix(one, 'src')}"]
        words += [f"to {_prefix(one, 'dst')}"] if "dst" in one else []
        words += [f"{name} {one[name]}" for name in _MATCHES if name in one]
        words.append(one.get("action") or f"lookup {one.get('table', '?')}")
        yield PolicyRule(one.get("priority", 0), " ".join(words))


def _prefix(one: Mapping[str, Any], end: str) -> str:
    length = one.get(f"{end}len")
    return str(one.get(end)) if length is None else f"{one.get(end)}/{length}"


def _legacy_rules(printed: str) -> Iterator[str]:
    """`-t filter -A INPUT -p tcp -j DROP`, for each rule, and `-t filter -P INPUT DROP`."""
    table = ""
    for line in printed.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith("-A "):
            yield f"-t {table} {line.strip()}"
        elif line.startswith(":") and line.split()[1:2] == ["DROP"]:
            yield f"-t {table} -P {line[1:].split()[0]} DROP"


def _policies(printed: str) -> Iterator[str]:
    """Each policy of `ip xfrm policy` in one line; sockets' own ones are left out."""
    for policy in re.split(r"\n(?=\S)", printed.strip()):
        if policy and "\tsocket " not in policy:
            yield " ".join(policy.split())


def _first_filter(printed: str) -> str:
    """The first line that names a filter, `filter protocol ip ... handle 0x1 ...`, with its action."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    full = [line for line in lines if " handle " in line or " fh " in line]
    actions = [line for line in lines if line.startswith(("action", "police"))]
    return "; ".join([*(full or lines)[:1], *actions[:1]])
