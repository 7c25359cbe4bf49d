"""Who answers for the VIP on the wire, as the switches saw it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labs.checks.result import Check
from labs.controller.client import ArpSighting
from labs.errors import BuildFailed
from labs.hosts.host import program
from labs.network.topology import INTERNET, Interface, Role
from labs.run.running import RunningLab
from labs.wait import wait_for

SUBJECT = "ARP"
ASK = Path(__file__).resolve().parents[1] / "hosts/ask_arp.py"


def only_director_answers(run: RunningLab, segments: Sequence[str] = ()) -> Check:
    """Ask for the VIP on every segment that has a router, or only on `segments`; count who answers.

    Behind the question for the VIP goes one for each machine's own address: a machine takes
    them in order, so once it has answered for itself, an answer for the VIP would be here.
    """
    for router in run.plan.nodes(Role.ROUTER):
        for interface in router.interfaces:
            if interface.switch in segments or (not segments and interface.switch != INTERNET):
                _ask(run, interface)
    answers = {claim.sender_mac for claim in run.controller.arp() if _answers(claim, run.plan.vip)}
    return _judge("only the director answers ARP for the VIP", run, answers)


def only_director_claims(run: RunningLab) -> Check:
    """No machine names the VIP as its own address in an ARP packet, in all the lab's time.

    A real server that asks `who-has its gateway, tell VIP` would move the VIP in the router's
    ARP cache to itself.
    """
    macs = {claim.sender_mac for claim in run.controller.arp() if claim.sender_ip == run.plan.vip}
    return _judge("only the director names the VIP in ARP", run, macs)


def _judge(name: str, run: RunningLab, macs: set[str]) -> Check:
    names = run.plan.topology.names_of_macs
    director = {run.plan.topology.director.interfaces[0].mac}
    seen = ", ".join(sorted(names.get(mac, mac) for mac in macs)) or "nobody"
    return Check(name, macs == director, run.plan.topology.director.interfaces[0].name, seen)


def _answers(claim: ArpSighting, address: str) -> bool:
    return claim.operation == "reply" and claim.sender_ip == address


def _ask(run: RunningLab, asker: Interface) -> None:
    neighbours = [interface.address for interface in run.plan.topology.neighbours(asker)]
    command = program(ASK, asker.name, asker.address, run.plan.vip, *neighbours)
    run.network.hosts[asker.node].run(command)

    def all_have_answered() -> bool:
        seen = {claim.sender_ip for claim in run.controller.arp() if claim.operation == "reply"}
        return seen.issuperset(neighbours)

    wait_for(all_have_answered, 10, f"every machine on {asker.switch} to answer ARP", BuildFailed)
