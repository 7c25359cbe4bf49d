"""The plan of a lab: the values that labs/vs_* fill in, and all that distinguishes one lab from another.

A plan is complete before anything is built: topology, scripts, rules, and the expected packet table. The
rest of labs/ builds, runs and checks any plan.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from director.core.real_server import Method
from labs.network.addresses import PUBLISHED, Addressing
from labs.network.topology import Interface, Node, Role, Topology
from labs.run.options import BOTH
from labs.run.packet_table import Hop, in_url
from realserver_setup.build import TUNNELS, DirectorSetup, Setup

if TYPE_CHECKING:
    from labs.run.options import LabOptions
    from realserver_setup.availability import AvailabilitySetup


@dataclass(frozen=True, slots=True)
class RealServer:
    """A real server of the rules: RIP, port of its httpd, weight.

    Its httpd also listens on `more_ports`, for which the lab has no rules.
    """

    name: str
    address: str
    http_port: int
    weight: int
    ftp: bool  # has a rule for port 21
    more_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """One lab, ready to build. `hops` gives the expected packet table for one connection."""

    lab: str
    title: str
    method: Method
    topology: Topology
    servers: tuple[RealServer, ...]
    setups: tuple[Setup, ...]  # one per node, in building order
    hops: Callable[[RealServer, Interface, int], tuple[Hop, ...]]  # real server, client, client's port
    replies_through_director: bool
    addresses: Addressing = PUBLISHED
    pair: tuple[AvailabilitySetup, ...] = ()  # one per director, where there are two
    second: Plan | None = None  # the same lab in IPv6, where the lab has both IP versions

    @property
    def vip(self) -> str:
        return self.addresses.vip

    @property
    def site(self) -> str:
        """The VIP as the host of a URL."""
        return in_url(self.vip)

    @property
    def version(self) -> int:
        """The IP version of the addresses: 4 or 6."""
        return self.addresses.version

    @property
    def family(self) -> int:
        """The value of --family: 4, 6, or 46."""
        return BOTH if self.second else self.version

    @property
    def parts(self) -> tuple[Plan, ...]:
        """The plan for each IP version."""
        return (self, self.second) if self.second else (self,)

    @property
    def tunnel(self) -> str:
        """The tunnel device of the real servers; empty if there are no tunnels."""
        return TUNNELS[self.version] if self.method is Method.TUN else ""

    def nodes(self, role: Role) -> tuple[Node, ...]:
        return self.topology.by_role(role)


def replicas(count: int, address: Callable[[int], str]) -> tuple[RealServer, ...]:
    """Real servers with identical services; the second has weight 2, so that wrr differs from rr."""
    return tuple(
        RealServer(f"rs{number}", address(number), http_port=80, weight=2 if number == 2 else 1, ftp=True)
        for number in range(1, count + 1)
    )


def plan_for(method: str, options: LabOptions) -> Plan:
    """The plan of labs/vs_METHOD, in the IP versions of `options.family`."""
    make: Callable[[LabOptions], Plan] = importlib.import_module(f"labs.vs_{method}.plan").plan
    if options.family == 4:
        return make(options)
    in_ipv6 = make(replace(options, addresses=options.addresses.in_ipv6()))
    return _both(make(options), in_ipv6) if options.dual else in_ipv6


def _both(plan: Plan, in_ipv6: Plan) -> Plan:
    """`plan` with its IPv6 twin; the directors get the rules of both."""
    twins = {setup.name: setup for setup in in_ipv6.setups if isinstance(setup, DirectorSetup)}
    setups = (
        replace(setup, second=twins[setup.name]) if isinstance(setup, DirectorSetup) else setup
        for setup in plan.setups
    )
    return replace(plan, setups=tuple(setups), second=in_ipv6)
