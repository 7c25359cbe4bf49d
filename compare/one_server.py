"""Small labs with one real server that is misconfigured or in another network.

    near        the server is on the director's own segment (VS-NAT: on its private net)
    elsewhere   a router is between them

A server works if the client gets every answer, the director has counted every connection, and only the
director answers ARP requests for the VIP on the director's LAN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from compare.results import CHANGES, ELSEWHERE, ELSEWHERE_NO_ARP, NO_ARP_CONTROL, NO_TUNNEL, PLAIN, Finding
from compare.scaling import give_rules
from labs.checks.arp import DISCOVERY, only_director_answers
from labs.hosts.setups import rules_for, setups_for
from labs.network.topology import LAN, PRIVATE, Role, Topology, make_node
from labs.plan import Plan, plan_for
from labs.run.options import LabOptions
from labs.run.running import RunningLab
from realserver_setup.apply import apply
from realserver_setup.build import (
    TUNNELS,
    DirectorSetup,
    Interface,
    RealServerSetup,
    Route,
    RouterSetup,
    Setup,
)
from realserver_setup.render import script_for

NEAR, FAR = "near", "elsewhere"
PLACES = (NEAR, FAR)
OPTIONS = LabOptions(servers=1, scheduler="rr")
_TRIES = 2  # requests, each on its own connection
_SERVER = "rs1"
_IPV6 = 6


def plan_at(method: str, place: str, family: int = 4) -> Plan:
    """The lab of a method with its server near the director, or beyond a router."""
    options = replace(OPTIONS, family=family)
    plan = plan_for(method, options)
    if (method, place) in (("nat", NEAR), ("tun", FAR), ("dr", NEAR)):
        return plan  # as the lab has it
    if method == "nat":
        return _nat_elsewhere(plan)
    other = plan_for("dr" if method == "tun" else "tun", options)
    setups = setups_for(plan.method, other.topology, other.servers, plan.addresses)
    return replace(plan, topology=other.topology, servers=other.servers, setups=setups)


def _nat_elsewhere(plan: Plan) -> Plan:
    """The server's router has the director as its gateway, so replies still pass it."""
    at, site = plan.addresses, "s4"
    inside, gateway, own = at.private_server(253), at.site_router(0), at.site_server(1)
    router = make_node("r1", Role.ROUTER, (PRIVATE, inside, at.prefix), (site, gateway, at.site_prefix))
    others = (node for node in plan.topology.nodes if node.role is not Role.SERVER)
    beyond = make_node(_SERVER, Role.SERVER, (site, own, at.site_prefix))
    server = replace(plan.servers[0], address=own)
    interfaces = tuple(Interface(port.name, port.address, port.prefix) for port in router.interfaces)
    setups: list[Setup] = [RouterSetup("r1", interfaces, (Route("default", at.director_inside),))]
    for setup in plan.setups:
        if isinstance(setup, DirectorSetup):
            routes = (Route(at.site_network(0), inside),)
            setups.append(replace(setup, routes=routes, rules=rules_for((server,))))
        elif isinstance(setup, RealServerSetup):
            interface = Interface(setup.interface.name, own, at.site_prefix)
            setups.append(replace(setup, interface=interface, gateway=gateway))
        else:
            setups.append(setup)
    topology = Topology((*others, router, beyond))
    return replace(plan, topology=topology, servers=(server,), setups=tuple(setups))


class Trial:
    """A running lab; `findings` breaks and repairs it."""

    def __init__(self, run: RunningLab, method: str, place: str) -> None:
        self._run, self._method, self._place = run, method, place
        self._server = run.network.hosts[_SERVER]
        setups = [setup for setup in run.plan.setups if isinstance(setup, RealServerSetup)]
        self._repair = script_for(setups[0])

    def findings(self) -> Iterator[Finding]:
        """The answer to each question."""
        if self._place == NEAR:
            yield self._changes()
            yield self._try(PLAIN, lambda: "the server as the script sets it up")
            yield self._try(NO_TUNNEL, self._take_tunnel)
            yield self._try(NO_ARP_CONTROL, self._forget_arp_control)
        else:
            yield self._try(ELSEWHERE, lambda: f"server {self._run.plan.servers[0].address} beyond a router")
            yield self._try(ELSEWHERE_NO_ARP, self._forget_arp_control)

    def _changes(self) -> Finding:
        """The commands in the server's script that a server of VS-NAT does not need."""
        lines = changes(self._method, self._run.plan.version)
        return Finding(self._method, CHANGES, not lines, "; ".join(lines) or "its gateway only")

    def _try(self, question: str, prepare: Callable[[], str]) -> Finding:
        self._run.controller.forget_arp()
        about = prepare()
        for host in self._run.plan.nodes(Role.ROUTER):
            self._run.network.hosts[host.name].run(["ip", "neigh", "flush", "all"])
        give_rules(self._run, self._run.plan.servers)
        arp = only_director_answers(self._run, (LAN,))
        names = self._run.clients[0].names(_TRIES)
        counted = sum(self._run.director.connections_by_server().values())
        apply(self._repair, self._server)
        works = arp.ok and names == [_SERVER] * _TRIES and counted == _TRIES
        evidence = (
            f"{about}: {len(names)} of {_TRIES} answered, {counted} through the director; "
            f"{DISCOVERY[self._run.plan.version]} for the VIP: {arp.observed}"
        )
        return Finding(self._method, question, works, evidence)

    def _take_tunnel(self) -> str:
        """Disable decapsulation: set the tunnel device down. Returns what was done."""
        device = TUNNELS[self._run.plan.version]
        if self._server.run(["ip", "link", "set", device, "down"]).exit_code:
            return f"no {device} there"
        return f"{device} switched off"

    def _forget_arp_control(self) -> str:
        """Make the server answer ARP requests for all of its addresses, as Linux 2.2 does.

        IPv6 needs no setting: a host answers solicitations only for addresses of the receiving interface.
        """
        if self._run.plan.version == _IPV6:
            return "IPv6 has no setting for it"
        settings = [
            f"net.ipv4.conf.{where}.{what}=0"
            for where in ("all", f"{_SERVER}-eth0")
            for what in ("arp_ignore", "arp_announce")
        ]
        self._server.run(["sysctl", "-w", *settings])
        return "arp_ignore=0, arp_announce=0"


def changes(method: str, family: int = 4) -> list[str]:
    """The commands in a server's script, in the dialect of 1999, that have no counterpart in VS-NAT's."""
    usual = {_shape(line) for line in _commands("nat", family)}
    return [line for line in _commands(method, family) if _shape(line) not in usual]


def _commands(method: str, family: int) -> list[str]:
    setups = plan_for(method, replace(OPTIONS, family=family)).setups
    script = script_for(next(setup for setup in setups if isinstance(setup, RealServerSetup)))
    lines = script.text.split("set -e\n", 1)[1].splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _shape(command: str) -> str:
    """A command with placeholders for its addresses."""
    return " ".join("ADDRESS" if _is_address(word) else word for word in command.split())


def _is_address(word: str) -> bool:
    return word[:1].isdigit() or ":" in word.partition("/")[0].removeprefix("lo:")
