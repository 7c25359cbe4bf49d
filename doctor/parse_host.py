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

_FAMILIES = {4: "inet", 6: "inet6"}  # by IP version
_UNSPECIFIED = "::"  # printed by `ip -6 route get` if no source was given
_Entries = Iterable[Mapping[str, Any]]


def parse_host(host: HostState, printed: str) -> HostState:
    """The planned `host` with the `printed` state. Raises ValueError for any other output."""
    try:
        printed_state = literal(printed)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"not output of collect_host.py: {printed!r:.60}") from None
    devices, routes, neighbours, policy, *next_hops = _lists(printed_state["ip"])
    return replace(
        host,
        links=tuple(map(_link, devices)),
        addresses=tuple(_addresses(devices, _FAMILIES[host.version])),
        routes=tuple(map(_route, routes)),
        neighbours=tuple(_neighbours(neighbours)),
        next_hops=tuple(_next_hop(route) for next_hop in next_hops for route in next_hop),
        settings=printed_state["settings"],
        ranges=printed_state.get("ranges", {}),
        offloads=printed_state["offloads"],
        counters=printed_state["counters"],
        listeners=tuple(Listener(*fields) for fields in printed_state["listeners"]),
        processes=tuple(Process(*fields) for fields in printed_state["processes"]),
        rules=tuple(_policy_rules(policy)),
        missing_rules=tuple(_missing_rules(policy, host.version)),
        traffic_filters=tuple(
            TrafficFilter(interface, hook, _first_filter(printed))
            for interface, hook, printed in printed_state["tc"]
        ),
        site=Site(
            unwritable=tuple(printed_state.get("unwritable", ())),
            covered=tuple(printed_state.get("covered", ())),
            missing=tuple(printed_state.get("missing", ())),
            altered=tuple(printed_state.get("altered", ())),
        ),
        legacy_tables=tuple(printed_state.get("iptables", ())),
        legacy_rules=tuple(_legacy_rules(printed_state.get("iptables_rules", ""))),
        ipsec=tuple(_policies(printed_state.get("xfrm", ""))),
        filters=rules(json.loads(printed_state["nft"] or "{}").get("nftables", []), printed_state["rules"]),
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
        broadcast=device.get("broadcast", "") if device.get("link_type") == "ether" else "",
    )


def _addresses(devices: _Entries, family: str) -> Iterator[Address]:
    for device in devices:
        for address in device.get("addr_info", ()):
            if address.get("family") == family:
                yield Address(
                    interface=device["ifname"],
                    address=address["local"],
                    prefix=address["prefixlen"],
                    label=address.get("label", ""),
                    scope=address.get("scope", ""),
                    up="UP" in device.get("flags", ()),
                    detection=next((word for word in ("dadfailed", "tentative") if address.get(word)), ""),
                )


def _route(route: Mapping[str, Any]) -> Route:
    paths = tuple(
        f"via {path['gateway']} dev {path['dev']}"
        for path in route.get("nexthops", ())
        if {"gateway", "dev"} <= path.keys()
    )
    return Route(*_route_words(route), kind=_kind(route), metric=route.get("metric", 0), paths=paths)


def _route_words(route: Mapping[str, Any]) -> tuple[str, str, str]:
    return route["dst"], route.get("gateway", ""), route.get("dev", "")


def _kind(route: Mapping[str, Any]) -> str:
    """The type of a special route; empty for an ordinary one."""
    kind = route.get("type", "")
    return "" if kind == "unicast" else str(kind)


def _next_hop(route: Mapping[str, Any]) -> NextHop:
    """An answer of `ip route get`."""
    return NextHop(
        *_route_words(route),
        source="" if route.get("from") == _UNSPECIFIED else route.get("from", ""),
        inbound=route.get("iif", ""),
        local=route.get("type") == "local",
        mtu=_metric(route, "mtu"),
        hoplimit=_metric(route, "hoplimit"),
        window=_metric(route, "window"),
        preferred=route.get("prefsrc", ""),
    )


_GROUPS = ("01:", "33:33:", "ff:", "00:")  # prefixes of group MAC addresses, and of loopback's


def _metric(route: Mapping[str, Any], name: str) -> int:
    return next((int(metric[name]) for metric in route.get("metrics", ()) if name in metric), 0)


def _neighbours(entries: _Entries) -> Iterator[Neighbour]:
    """The entries, without the kernel's own for groups and for itself."""
    for entry in entries:
        if "NOARP" in entry.get("state", ()) and entry.get("lladdr", "00:").startswith(_GROUPS):
            continue
        state = " ".join(entry.get("state", ()))
        yield Neighbour(entry["dst"], entry.get("dev", ""), entry.get("lladdr", ""), state, "router" in entry)


_MATCHES = ("fwmark", "iif", "oif", "tos", "ipproto", "sport", "dport", "uid_start", "uid_end")
_RANGES = ("sport", "dport")
_OF_THE_KERNEL = ((0, "local"), (32766, "main"), (32767, "default"))
_REQUIRED = {4: _OF_THE_KERNEL, 6: _OF_THE_KERNEL[:2]}  # by IP version


def _policy_rules(entries: _Entries) -> Iterator[PolicyRule]:
    """The policy rules, without the kernel's own."""
    for entry in entries:
        if _of_the_kernel(entry) in _OF_THE_KERNEL:
            continue
        words = [f"from {_prefix(entry, 'src')}"]
        words += [f"to {_prefix(entry, 'dst')}"] if "dst" in entry else []
        words += [f"{name} {entry[name]}" for name in _MATCHES if name in entry]
        words += [
            f"{name} {entry[f'{name}_start']}-{entry[f'{name}_end']}"
            for name in _RANGES
            if f"{name}_start" in entry
        ]
        words.append(entry.get("action") or f"lookup {entry.get('table', '?')}")
        yield PolicyRule(entry.get("priority", 0), " ".join(words))


def _of_the_kernel(entry: Mapping[str, Any]) -> tuple[int, str] | None:
    """Its priority and table, if it applies to all packets."""
    if entry.get("src") != "all" or entry.keys() - {"priority", "src", "table", "protocol"}:
        return None
    return entry["priority"], entry.get("table", "")


def _missing_rules(entries: _Entries, version: int) -> Iterator[PolicyRule]:
    """The kernel's own policy rules that were deleted."""
    present = set(map(_of_the_kernel, entries))
    for priority, table in _REQUIRED[version]:
        if (priority, table) not in present:
            yield PolicyRule(priority, f"from all lookup {table}")


def _prefix(entry: Mapping[str, Any], end: str) -> str:
    length = entry.get(f"{end}len")
    return str(entry.get(end)) if length is None else f"{entry.get(end)}/{length}"


def _legacy_rules(printed: str) -> Iterator[str]:
    """`-t filter -A INPUT -p tcp -j DROP` for each rule; `-t filter -P INPUT DROP` for a policy."""
    table = ""
    for line in printed.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith("-A "):
            yield f"-t {table} {line.strip()}"
        elif line.startswith(":") and line.split()[1:2] == ["DROP"]:
            yield f"-t {table} -P {line[1:].split()[0]} DROP"


def _policies(printed: str) -> Iterator[str]:
    """Each policy of `ip xfrm policy` on one line, without those of sockets."""
    for policy in re.split(r"\n(?=\S)", printed.strip()):
        if policy and "\tsocket " not in policy:
            yield " ".join(policy.split())


def _first_filter(printed: str) -> str:
    """The first line that names a filter, `filter protocol ip ... handle 0x1 ...`, with its action."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    full = [line for line in lines if " handle " in line or " fh " in line]
    actions = [line for line in lines if line.startswith(("action", "police"))]
    return "; ".join([*(full or lines)[:1], *actions[:1]])
