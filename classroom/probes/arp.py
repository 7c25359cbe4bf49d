"""ARP: who answers for the VIP, and who names it in questions of his own, as the switches see it."""

from __future__ import annotations

import sys
from pathlib import Path

import labs
from classroom.case import Case
from classroom.probes.requests import MANY, ask
from labs.running import Running
from labs.topology import INTERNET, Role
from labs.wait import look_until

_ASK = Path(labs.__file__).parent / "ask_arp.py"
_SECONDS = 1.0  # for all answers to have come


def arp_answers(running: Running, case: Case) -> list[str]:
    """The interfaces that answer when each router asks for the VIP on its own segments."""
    names, since = case.plan.topology.names_of_macs, running.controller.forget_arp()
    for router in case.plan.machines(Role.ROUTER):
        for leg in router.legs:
            if leg.switch != INTERNET:
                # The router's own address is asked for as well: its neighbours answer nothing else.
                command = [sys.executable, "-S", "-E", str(_ASK), leg.interface, leg.address]
                running.network.hosts[router.name].run([*command, case.plan.vip], timeout=2)

    def answers() -> set[str]:
        claims = running.controller.arp(since)
        return {
            claim.sender_mac
            for claim in claims
            if claim.operation == "reply" and claim.sender_ip == case.plan.vip
        }

    # Nobody says when the last one has answered: the wait ends once two looks are alike.
    before: list[set[str]] = [set()]

    def settled(now: set[str]) -> bool:
        same, before[0] = bool(now) and now == before[0], now
        return same

    return sorted(names.get(mac, mac) for mac in look_until(answers, settled, _SECONDS))


def arp_claims(running: Running, case: Case) -> list[str]:
    """The interfaces that name the VIP as their own address in a question, when all have forgotten all.

    The servers' neighbour tables are emptied, as they are after a while; then clients ask.
    """
    names, since = case.plan.topology.names_of_macs, running.controller.forget_arp()
    for host in (*case.hosts("servers"), "r0"):
        running.network.hosts[host].run(["ip", "neigh", "flush", "all"], timeout=2)
    ask(running.clients[0], 80, MANY)
    claims = [claim for claim in running.controller.arp(since) if claim.sender_ip == case.plan.vip]
    return sorted({names.get(one.sender_mac, one.sender_mac) for one in claims if one.operation == "request"})
