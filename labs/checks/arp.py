"""ARP for the VIP, or neighbour discovery in IPv6: which host answers for it and which claims it.

The controller records what the switches received.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.checks.result import Check
from labs.controller.controller_client import ArpSighting
from labs.errors import BuildFailed
from labs.hosts.host import probe
from labs.network.topology import INTERNET, Interface, Role
from labs.run.running import RunningLab
from labs.wait import wait_for

SUBJECT, SUBJECT6 = "ARP", "neighbours"
DISCOVERY = {4: "ARP", 6: "neighbour discovery"}


def only_director_answers(run: RunningLab, segments: Sequence[str] = ()) -> Check:
    """Send ARP requests for the VIP on every segment with a router, or on `segments`, and read the replies.

    In IPv6 they are neighbour solicitations.

    After the request for the VIP comes one for each node's own address. A node handles them in order, so when
    its own address has been answered, a reply for the VIP would have arrived as well.
    """
    for router in run.plan.nodes(Role.ROUTER):
        for interface in router.interfaces:
            if interface.switch in segments or (not segments and interface.switch != INTERNET):
                _ask(run, interface)
    answers = {packet.sender_mac for packet in run.controller.arp() if _answers(packet, run.plan.vip)}
    director = _directors(run)[run.director.host.name]
    name = f"only the director answers {DISCOVERY[run.plan.version]} for the VIP"
    return _judge(name, run, answers, {director})


def only_director_claims(run: RunningLab) -> Check:
    """During the whole lab, only directors send ARP packets with the VIP as the sender address.

    In IPv6: solicitations from the VIP, or advertisements for it.

    A real server that asks `who-has its gateway, tell VIP` would redirect the VIP in the router's ARP cache
    to itself.
    """
    macs = {packet.sender_mac for packet in run.controller.arp() if packet.sender_ip == run.plan.vip}
    directors = set(_directors(run).values())
    where = DISCOVERY[run.plan.version]
    if len(directors) == 1:
        return _judge(f"only the director names the VIP in {where}", run, macs, directors)
    return _judge(f"only directors name the VIP in {where}", run, macs, macs & directors or directors)


def _directors(run: RunningLab) -> dict[str, str]:
    """The MAC address of each director's interface towards the clients."""
    return {node.name: node.interfaces[0].mac for node in run.plan.topology.directors}


def _judge(name: str, run: RunningLab, macs: set[str], expected: set[str]) -> Check:
    names = run.plan.topology.names_of_macs
    wanted, answered = (
        ", ".join(sorted(names.get(mac, mac) for mac in owners)) for owners in (expected, macs)
    )
    return Check(name, macs == expected, wanted, answered or "none")


def _answers(packet: ArpSighting, address: str) -> bool:
    return packet.operation == "reply" and packet.sender_ip == address


def _ask(run: RunningLab, asker: Interface) -> None:
    neighbours = [interface.address for interface in run.plan.topology.neighbours(asker)]
    command = probe("arp", asker.name, asker.address, run.plan.vip, *neighbours)
    run.network.hosts[asker.node].run(command)

    def all_have_answered() -> bool:
        answered = {packet.sender_ip for packet in run.controller.arp() if packet.operation == "reply"}
        return answered.issuperset(neighbours)

    what = f"every node on {asker.switch} to answer {DISCOVERY[run.plan.version]}"
    wait_for(all_have_answered, 10, what, BuildFailed)
