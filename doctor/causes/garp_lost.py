"""The VIP has moved, and the router still sends to the director that had it before."""

from __future__ import annotations

import json
from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import PERMANENT, ROUTER, FilterRule, HostState, LabState, Neighbour

TITLE = "a gratuitous ARP was lost: the VIP moved, and a neighbour entry did not"
EXPLAINS = ("wrong_neighbour",)


def find(state: LabState) -> Iterator[Cause]:
    if not state.pair:
        return
    for router in state.by_role(ROUTER):
        for plug in router.plugs:
            entry = router.neighbour(state.vip, plug.interface)
            if entry is None or not entry.mac or PERMANENT in entry.state:
                continue
            other = state.owner_of_mac(plug.switch, entry.mac)
            owners = state.vip_owners
            if other and owners and other[0].name in {one.name for one in state.pair} - set(owners):
                yield _cause(router, entry, other[0].name, owners[0], list(_filters(router, state.vip)))


def _filters(router: HostState, vip: str) -> Iterator[FilterRule]:
    """Rules that drop ARP: all of it, or what names the VIP."""
    for rule in router.filters:
        about = json.dumps(rule.matches)
        if rule.family == "arp" and rule.verdict == "drop" and (vip in about or not rule.matches):
            yield rule


def _cause(router: HostState, entry: Neighbour, before: str, now: str, filters: list[FilterRule]) -> Cause:
    shown = "".join(f"; nftables, chain arp {rule.table} {rule.chain}: {rule.text}" for rule in filters)
    undo = [f"nft delete rule arp {rule.table} {rule.chain} handle {rule.handle}" for rule in filters]
    return Cause(
        "garp_lost",
        router.name,
        f"its neighbour table has: {entry}, the MAC address of {before}; {now} has the VIP{shown}",
        f"On taking over, {now} broadcasts ARP packets that name its own MAC address, so that all neighbours "
        "send to it at once. A host that misses them goes on sending to the old director until it finds its "
        "own entry out of date.",
        "\n".join([*undo, f"ip neigh flush to {entry.address} dev {entry.interface}"]),
    )
