"""From what collect_host.py has printed on a host to the host's state."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from doctor.nftables import rules
from doctor.state import Address, HostState, Listener, Neighbour, Route, Way

_Entries = Iterable[Mapping[str, Any]]


def filled(host: HostState, printed: str) -> HostState:
    """The state of a host of which only the plan was known. Raises ValueError where it can't be read."""
    try:
        seen = ast.literal_eval(printed)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"not what collect_host.py prints: {printed!r:.60}") from None
    devices, routes, neighbours, *ways = _lists(seen["ip"])
    return replace(
        host,
        addresses=tuple(_addresses(devices)),
        routes=tuple(Route(*_way(one)) for one in routes),
        neighbours=tuple(_neighbours(neighbours)),
        ways=tuple(Way(*_way(one)) for way in ways for one in way),
        settings=seen["settings"],
        offloads=seen["offloads"],
        counters=seen["counters"],
        listeners=tuple(Listener(*one) for one in seen["listeners"]),
        filters=rules(json.loads(seen["nft"] or "{}").get("nftables", []), seen["rules"]),
    )


def _lists(text: str) -> list[list[Any]]:
    """Lists of JSON, one after the other; for a target that is unreachable there is none."""
    found, decoder, at = [], json.JSONDecoder(), text.find("[")
    while at >= 0:
        part, end = decoder.raw_decode(text, at)
        found.append(part)
        at = text.find("[", end)
    if len(found) < 3:
        raise ValueError(f"ip has printed {len(found)} lists instead of 3 and more")
    return found


def _addresses(devices: _Entries) -> Iterator[Address]:
    for device in devices:
        for one in device.get("addr_info", ()):
            if one.get("family") == "inet":
                yield Address(
                    interface=device["ifname"],
                    address=one["local"],
                    prefix=one["prefixlen"],
                    label=one.get("label", ""),
                    scope=one.get("scope", ""),
                    up="UP" in device.get("flags", ()),
                )


def _way(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return one["dst"], one.get("gateway", ""), one.get("dev", "")


def _neighbours(entries: _Entries) -> Iterator[Neighbour]:
    for one in entries:
        yield Neighbour(one["dst"], one.get("dev", ""), one.get("lladdr", ""), " ".join(one.get("state", ())))
