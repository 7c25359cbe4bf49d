"""Which hosts answer ARP for the VIP, and the router's neighbour entry for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from classroom.checks import needs, title
from classroom.model import Judge, Observations, Variant
from labs.checks.result import Check
from labs.hosts.host import Host, probe
from labs.network.topology import INTERNET, LAN, Interface, Role
from labs.run.running import RunningLab
from labs.wait import patient, poll_until

ROUTER = "r0"
_DIRECTOR = "d-eth0"
_SECONDS = 1.0  # for all replies to arrive
# Like arp_ignore=8 in IPv6, which has no such setting.
_SILENT = (
    "add table ip6 silent; "
    "add chain ip6 silent input { type filter hook input priority 0; }; "
    "add rule ip6 silent input icmpv6 type nd-neighbor-solicit drop"
)

# ---- probe ----


def arp_answers(running: RunningLab, variant: Variant) -> list[str]:
    """The interfaces that reply when each router asks for the VIP on its own segments."""
    names, (_, replies) = variant.plan.topology.names_of_macs, _replies(running, variant)
    return sorted(names.get(mac, mac) for address, mac in replies if address == variant.plan.vip)


def silent_neighbours(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """The routers' neighbours: the number `asked` for their own addresses, and those that are `silent`."""
    asked, replies = _replies(running, variant)
    names = {port.address: port.name for node in variant.plan.topology.nodes for port in node.interfaces}
    answered = {address for address, _ in replies}
    return {"asked": len(asked), "silent": sorted(names[address] for address in asked - answered)}


def _replies(running: RunningLab, variant: Variant) -> tuple[set[str], set[tuple[str, str]]]:
    """Let each router ask for the VIP and for its neighbours' own addresses.

    Returns the neighbours' addresses, and all replies as (IP address, MAC address).
    """
    since = running.controller.forget_arp()

    def replies() -> set[tuple[str, str]]:
        claims = running.controller.arp(since)
        return {(claim.sender_ip, claim.sender_mac) for claim in claims if claim.operation == "reply"}

    with preserved_entry(running, variant):
        asked = _ask_all(running, variant)
        # A host answers in order: its reply for its own address follows its reply for the VIP.
        return asked, poll_until(replies, lambda now: asked <= {address for address, _ in now}, _SECONDS)


def _ask_all(running: RunningLab, variant: Variant) -> set[str]:
    """Ask for the VIP, then every neighbour for its own address; returns those addresses."""
    routers, topology = variant.plan.nodes(Role.ROUTER), variant.plan.topology
    askers = [port for router in routers for port in router.interfaces if port.switch != INTERNET]
    neighbours = {asker: [neighbour.address for neighbour in topology.neighbours(asker)] for asker in askers}
    with ThreadPoolExecutor(len(askers)) as pool:
        list(pool.map(lambda asker: _ask(running, asker, variant.plan.vip, *neighbours[asker]), askers))
    return {address for addresses in neighbours.values() for address in addresses}


def _ask(running: RunningLab, asker: Interface, *targets: str) -> None:
    running.network.hosts[asker.node].run(probe("arp", asker.name, asker.address, *targets), timeout=2)


# ---- judges ----


@needs(arp_answers)
def one_answer(observations: Observations, variant: Variant) -> Check:
    """Only the director answers ARP for the VIP."""
    answers = observations["arp_answers"]
    return Check(
        _title(one_answer, variant), answers == [_DIRECTOR], _DIRECTOR, ", ".join(answers) or "no replies"
    )


@needs(silent_neighbours)
def own_addresses_answered(observations: Observations, variant: Variant) -> Check:
    """Every host answers ARP for its own address."""
    found = observations["silent_neighbours"]
    answered = found["asked"] > 0 and not found["silent"]
    observed = (
        f"no reply from {', '.join(found['silent'])}" if found["silent"] else f"{found['asked']} replies"
    )
    return Check(_title(own_addresses_answered, variant), answered, f"{found['asked']} replies", observed)


def _title(judge: Judge, variant: Variant) -> str:
    """The check's title; in IPv6 it says neighbour solicitations instead of ARP."""
    name = title(judge)
    return name if variant.plan.version == 4 else name.replace("ARP", "neighbour solicitations")


# ---- the router's neighbour entry, which decides where requests go ----


@contextmanager
def preserved_entry(running: RunningLab, variant: Variant) -> Iterator[bool]:
    """Restore the router's entry for the VIP afterwards, so that a probe neither repairs nor breaks anything.

    Yields whether the entry is static (set by hand).
    """
    before = _entry(running, variant)
    mac, is_static = before.get("lladdr", ""), "PERMANENT" in before.get("state", ())
    if mac:
        set_entry(running, variant, mac, "permanent")  # so that replies to the probe do not change it
    try:
        yield is_static
    finally:
        if mac:
            set_entry(running, variant, mac, "permanent" if is_static else "stale")
        else:
            drop_entry(running, variant)


def set_entry(running: RunningLab, variant: Variant, mac: str, state: str) -> None:
    """Map the VIP to `mac` on the router; `state` is a NUD state of ip-neighbour(8)."""
    _change(running, variant, "replace", "lladdr", mac, "nud", state)


def drop_entry(running: RunningLab, variant: Variant) -> None:
    """Make the router ask before it sends to the VIP, even if the entry was set by hand."""
    _change(running, variant, "del")


def static_entry(running: RunningLab, variant: Variant) -> str:
    """The MAC address of the router's static entry for the VIP, or ""."""
    entry = _entry(running, variant)
    return str(entry["lladdr"]) if "PERMANENT" in entry.get("state", ()) else ""


def ask_without_director(running: RunningLab, variant: Variant) -> None:
    """Let the router ask for the VIP while the director is silent, and cache any reply."""
    director = running.network.hosts["d"]
    setting = f"/proc/sys/net/ipv4/conf/{_DIRECTOR}/arp_ignore"
    silent, again = f"echo 8 > {setting}", f"echo 0 > {setting}"
    if variant.definition.family == 6:
        silent, again = f"nft '{_SILENT}'", "nft delete table ip6 silent"
    director.run(["sh", "-c", silent])
    drop_entry(running, variant)
    ping = _router(running).run(["ping", "-c1", f"-W{patient(1):.1f}", variant.plan.vip], timeout=2)
    director.run(["sh", "-c", again])
    if ping.exit_code != 0:
        drop_entry(running, variant)


def _entry(running: RunningLab, variant: Variant) -> dict[str, Any]:
    show = ["ip", "-j", "neigh", "show", "to", variant.plan.vip, "dev", router_interface(variant).name]
    entries: list[dict[str, Any]] = json.loads(_router(running).run(show, timeout=2).stdout or "[]")
    return entries[0] if entries else {}


def _change(running: RunningLab, variant: Variant, verb: str, *words: str) -> None:
    change = ["ip", "neigh", verb, variant.plan.vip, *words, "dev", router_interface(variant).name]
    _router(running).run(change, timeout=2)


def _router(running: RunningLab) -> Host:
    return running.network.hosts[ROUTER]


def router_interface(variant: Variant) -> Interface:
    """The router's interface on the director's segment."""
    router = next(node for node in variant.plan.nodes(Role.ROUTER) if node.name == ROUTER)
    return next(interface for interface in router.interfaces if interface.switch == LAN)
