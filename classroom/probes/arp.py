"""ARP: who answers for the VIP, as the switches see it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from classroom.probes.router import kept_entry
from classroom.variants import Variant
from labs.checks.arp import ASK
from labs.hosts.host import program
from labs.network.topology import INTERNET, Interface, Role
from labs.run.running import RunningLab
from labs.wait import poll_until

_SECONDS = 1.0  # for all answers to have come


def arp_answers(running: RunningLab, variant: Variant) -> list[str]:
    """The interfaces that answer when each router asks for the VIP on its own segments."""
    names, since = variant.plan.topology.names_of_macs, running.controller.forget_arp()

    def answers() -> set[tuple[str, str]]:
        claims = running.controller.arp(since)
        return {(one.sender_ip, one.sender_mac) for one in claims if one.operation == "reply"}

    with kept_entry(running, variant):
        asked = _ask_all(running, variant)
        # A machine takes questions in order: who has answered for itself has been asked for the VIP.
        seen = poll_until(answers, lambda now: asked <= {address for address, _ in now}, _SECONDS)
    return sorted(names.get(mac, mac) for address, mac in seen if address == variant.plan.vip)


def _ask_all(running: RunningLab, variant: Variant) -> set[str]:
    """Ask for the VIP, then each neighbour for its own address; those addresses."""
    routers = variant.plan.nodes(Role.ROUTER)
    askers = [port for router in routers for port in router.interfaces if port.switch != INTERNET]
    neighbours = {asker: [one.address for one in variant.plan.topology.neighbours(asker)] for asker in askers}
    with ThreadPoolExecutor(len(askers)) as pool:
        list(pool.map(lambda asker: _ask(running, asker, variant.plan.vip, *neighbours[asker]), askers))
    return {address for addresses in neighbours.values() for address in addresses}


def _ask(running: RunningLab, asker: Interface, *wanted: str) -> None:
    running.network.hosts[asker.node].run(program(ASK, asker.name, asker.address, *wanted), timeout=2)
