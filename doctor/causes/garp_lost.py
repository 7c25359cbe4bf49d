"""The VIP has moved, or will move, and the router keeps sending to its previous director."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import dropped
from doctor.queries import announcement
from doctor.state import ROUTER, FilterRule, HostState, LabState, Neighbour, Plug

TITLE = "a gratuitous ARP was lost: the VIP moved, and a neighbour entry did not"
EXPLAINS = ("wrong_neighbour", "arp_filtered")

_HOOKS = ("ingress", "input")
_SETTINGS = {4: "drop_gratuitous_arp", 6: "drop_unsolicited_na"}
_ANNOUNCEMENTS = {4: "ARP packets", 6: "neighbour advertisements"}


def find(state: LabState) -> Iterator[Cause]:
    if not state.pair:
        return
    for router in state.by_role(ROUTER):
        for plug in router.plugs:
            if plug.switch == state.director_host.main.switch:
                yield from _at(state, router, plug)


def _at(state: LabState, router: HostState, plug: Plug) -> Iterator[Cause]:
    """What blocks gratuitous ARP, and the entry that it should have changed."""
    evidence, undo = [], []
    entry = _out_of_date(state, router, plug)
    if entry:
        evidence.append(entry)
    rule = _filter(state, router)
    if rule:
        place = f"{rule.family} {rule.table} {rule.chain}"
        evidence.append(f"nftables, chain {place}: {rule.text or rule.verdict}")
        undo.append(
            f"nft delete rule {place} handle {rule.handle}"
            if rule.handle
            else f"nft chain {place} '{{ policy accept; }}'"
        )
    setting = _SETTINGS[state.version]
    if router.setting(setting, plug.interface):
        evidence.append(router.setting_text(setting, "all", plug.interface))
        tree = f"net.ipv{state.version}.conf"
        undo += [f"sysctl -w {tree}.{where}.{setting}=0" for where in ("all", plug.interface)]
    if evidence:
        yield Cause(
            "garp_lost",
            router.name,
            "; ".join(evidence),
            f"On taking over, a director sends all neighbours {_ANNOUNCEMENTS[state.version]} with its own "
            "MAC address, so that they send to it at once. A host that misses them keeps sending to the old "
            "director until its own entry expires.",
            "\n".join([*undo, f"ip neigh flush to {state.vip} dev {plug.interface}"]),
            tuple(director.name for director in state.pair),
        )


def _out_of_date(state: LabState, router: HostState, plug: Plug) -> str:
    """The router's entry for the VIP, if it leads to the director that does not have it."""
    entry = router.neighbour(state.vip, plug.interface)
    if entry is None or not entry.mac or entry.is_static:
        return ""
    other, owners = state.owner_of_mac(plug.switch, entry.mac), state.vip_owners
    if (
        not other
        or not owners
        or other[0].name not in {director.name for director in state.pair} - set(owners)
    ):
        return ""
    return _shown(entry, other[0].name, owners[0])


def _shown(entry: Neighbour, before: str, now: str) -> str:
    return f"its neighbour table has: {entry}, the MAC address of {before}; {now} has the VIP"


def _filter(state: LabState, router: HostState) -> FilterRule | None:
    """The rule that drops the gratuitous ARP of a director that takes over."""
    names = {director.name for director in state.pair}
    macs = (host.mac(host.main.interface) for host in state.hosts if host.name in names)
    found = (dropped(router.filters, announcement(state.vip, mac), *_HOOKS) for mac in macs)
    return next(filter(None, found), None)
