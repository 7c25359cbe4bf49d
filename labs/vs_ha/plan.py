"""The network of a forwarding method with two directors in place of one, here VS-DR's.

c1 c2 ── s1 ── r0 ── s2 ── d1 ── s3
                     ├──── d2 ── s3
                     ├──── rs1
                     ├──── rs2 ...

In VS-NAT s3 is the private net with the real servers, whose gateway moves as the VIP does. In VS-TUN, whose
remote sites have s3 to s10, the directors share s11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from director.core.real_server import Method
from director.core.transaction import FTP_PERSISTENCE
from labs.hosts.setups import interface_of, setups_for
from labs.network.addresses import Addressing
from labs.network.topology import LAN, PRIVATE, Interface, Node, Role, Topology, make_node
from labs.plan import Plan, RealServer, plan_for
from labs.run.options import HaOptions, LabOptions
from labs.run.packet_table import Hop
from realserver_setup.availability import AvailabilitySetup, CheckedServer, CheckedService
from realserver_setup.build import DirectorSetup, Rule

FTP, HTTP = 21, 80
_DIRECTORS = 2
_PAIR = {Method.NAT: PRIVATE, Method.DR: PRIVATE, Method.TUN: "s11"}


def plan(options: LabOptions) -> Plan:
    """The method's plan with d1 and d2 in place of d; d1 is active at the start."""
    assert isinstance(options, HaOptions)
    alone = plan_for(options.method, options)
    at, method = alone.addresses, alone.method
    directors = tuple(
        make_node(
            f"d{number}",
            Role.DIRECTOR,
            (LAN, at.director(number), at.prefix),
            (_PAIR[method], at.paired_director(number), at.prefix),
        )
        for number in range(1, _DIRECTORS + 1)
    )
    topology = Topology(tuple(_with_directors(alone.topology.nodes, directors)))
    setups = setups_for(method, topology, alone.servers, at, dual=options.dual)
    rules = next(setup.rules for setup in setups if isinstance(setup, DirectorSetup))
    return replace(
        alone,
        lab="lab-ha",
        title=f"High availability: two directors, VS-{method.name}",
        topology=topology,
        setups=setups,
        hops=_of_first_director(alone.hops),
        pair=tuple(
            _availability(directors, number, method, at, rules, options)
            for number in range(1, _DIRECTORS + 1)
        ),
    )


def _with_directors(nodes: Iterable[Node], directors: tuple[Node, ...]) -> Iterable[Node]:
    for node in nodes:
        yield from directors if node.role is Role.DIRECTOR else (node,)


Hops = Callable[[RealServer, Interface, int], tuple[Hop, ...]]


def _of_first_director(hops: Hops) -> Hops:
    """The packet table while d1 is active: d1 has d's addresses, but other interface names."""

    def named(server: RealServer, client: Interface, port: int) -> tuple[Hop, ...]:
        return tuple(
            replace(hop, interface=f"d1-{hop.interface[2:]}") if hop.interface.startswith("d-") else hop
            for hop in hops(server, client, port)
        )

    return named


def _availability(
    directors: tuple[Node, ...],
    number: int,
    method: Method,
    at: Addressing,
    rules: tuple[Rule, ...],
    options: HaOptions,
) -> AvailabilitySetup:
    own, peer = directors[number - 1], directors[_DIRECTORS - number]
    outside, pair = map(interface_of, own.interfaces)
    gateway = ((at.director_inside, pair.name),) if method is Method.NAT else ()
    return AvailabilitySetup(
        name=own.name,
        number=number,
        method=method,
        scheduler=options.scheduler,
        outside=outside,
        pair=pair,
        peer=peer.name,
        virtual=((at.vip, outside.name), *gateway),
        services=tuple(_services(rules, method)),
        takeover=options.takeover,
        interval=options.advert_interval / 1000,
        sync=options.sync,
    )


def _services(rules: tuple[Rule, ...], method: Method) -> Iterable[CheckedService]:
    for port in dict.fromkeys(rule.port for rule in rules):
        servers = (
            CheckedServer(rule.server, rule.server_port, rule.weight or 1, is_http=port == HTTP)
            for rule in rules
            if rule.port == port
        )
        persistence = FTP_PERSISTENCE if port == FTP and method is not Method.NAT else 0
        yield CheckedService(port, tuple(servers), persistence)
