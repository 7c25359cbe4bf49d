"""The router in front of the director: its neighbour entry for the VIP decides who gets the requests.

Looks may need another entry, or none; they leave the one that was there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from classroom.variants import Variant
from labs.hosts.host import Host
from labs.network.topology import LAN, Interface, Role
from labs.run.running import RunningLab

ROUTER = "r0"


@contextmanager
def kept_entry(running: RunningLab, variant: Variant) -> Iterator[None]:
    """The entry is afterwards what it was: a look neither mends nor spoils."""
    before = _found(running, variant)
    mac = before.get("lladdr", "")
    if mac:
        set_entry(running, variant, mac, "permanent")  # the answers to our questions do not move it
    try:
        yield
    finally:
        if mac:
            set_entry(running, variant, mac, "permanent" if "PERMANENT" in before["state"] else "stale")
        else:
            drop_entry(running, variant)


def set_entry(running: RunningLab, variant: Variant, mac: str, state: str) -> None:
    """Have the router believe that the VIP is at `mac`; `state` as ip-neighbour(8) names it."""
    _change(running, variant, "replace", "lladdr", mac, "nud", state)


def drop_entry(running: RunningLab, variant: Variant) -> None:
    """Have the router ask before it sends anything to the VIP, even if somebody has set the entry."""
    _change(running, variant, "del")


def ask_without_director(running: RunningLab, variant: Variant) -> None:
    """The router asks for the VIP while the director is away for a moment, and notes who answers."""
    director = running.network.hosts["d"]
    setting = f"/proc/sys/net/ipv4/conf/{variant.plan.topology.director.interfaces[0].name}/arp_ignore"
    director.run(["sh", "-c", f"echo 8 > {setting}"])
    drop_entry(running, variant)
    ping = _router(running).run(["ping", "-c1", "-W1", variant.plan.vip], timeout=2)
    director.run(["sh", "-c", f"echo 0 > {setting}"])
    if ping.exit_code != 0:
        drop_entry(running, variant)


def _found(running: RunningLab, variant: Variant) -> dict[str, Any]:
    show = ["ip", "-j", "neigh", "show", "to", variant.plan.vip, "dev", lan_interface(variant).name]
    entries: list[dict[str, Any]] = json.loads(_router(running).run(show, timeout=2).stdout or "[]")
    return entries[0] if entries else {}


def _change(running: RunningLab, variant: Variant, verb: str, *what: str) -> None:
    command = ["ip", "neigh", verb, variant.plan.vip, *what, "dev", lan_interface(variant).name]
    _router(running).run(command, timeout=2)


def _router(running: RunningLab) -> Host:
    return running.network.hosts[ROUTER]


def lan_interface(variant: Variant) -> Interface:
    """Its interface on the director's segment."""
    router = next(one for one in variant.plan.nodes(Role.ROUTER) if one.name == ROUTER)
    return next(interface for interface in router.interfaces if interface.switch == LAN)
