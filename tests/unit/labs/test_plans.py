"""The plans of the three labs, before anything is built."""

from __future__ import annotations

import pytest

from director.core.real_server import Method
from labs.methods import METHODS
from labs.network import addresses
from labs.network.topology import Role
from labs.plan import Plan, plan_for
from labs.run.options import HaOptions, LabOptions
from realserver_setup.build import DirectorSetup, RealServerSetup
from realserver_setup.render import rules_for, scripts_for


def director_setup(plan: Plan) -> DirectorSetup:
    return next(setup for setup in plan.setups if isinstance(setup, DirectorSetup))


def test_the_default_rules_of_vs_nat_are_the_published_ones() -> None:
    script = rules_for(director_setup(plan_for("nat", LabOptions(servers=2)))).text
    commands = [line for line in script.splitlines() if line.startswith("ippfvsadm -A")]
    assert commands == [
        "ippfvsadm -A -t 203.0.113.1:80 -R 172.16.0.2:80",
        "ippfvsadm -A -t 203.0.113.1:80 -R 172.16.0.3:8000 -w 2",
        "ippfvsadm -A -t 203.0.113.1:21 -R 172.16.0.3:21",
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("servers", [1, 2, 3, 9, 200])
def test_every_plan_renders(method: str, servers: int) -> None:
    plan = plan_for(method, LabOptions(servers=servers))
    assert len(plan.servers) == servers
    assert any(server.ftp for server in plan.servers)
    assert all(script.text for setup in plan.setups for script in scripts_for(setup).values())
    owned = [interface.address for node in plan.topology.nodes for interface in node.interfaces]
    assert len(set(owned)) == len(owned)


@pytest.mark.parametrize(
    ("method", "gateway"),
    [("nat", addresses.DIRECTOR_INSIDE), ("dr", addresses.ROUTER_LAN), ("tun", addresses.site_router(0))],
)
def test_the_gateway_decides_the_path_of_replies(method: str, gateway: str) -> None:
    plan = plan_for(method, LabOptions())
    first = next(setup for setup in plan.setups if isinstance(setup, RealServerSetup))
    assert first.gateway == gateway
    assert plan.replies_through_director == (plan.method is Method.NAT)


# ---- two directors ----


@pytest.mark.parametrize("method", METHODS)
def test_two_directors_take_the_place_of_one(method: str) -> None:
    options = HaOptions(method=method)
    alone, plan = plan_for(method, options), plan_for("ha", options)
    assert [node.name for node in plan.topology.directors] == ["d1", "d2"]
    assert plan.servers == alone.servers
    names = {node.name for node in alone.topology.nodes} - {"d"}
    assert {node.name for node in plan.topology.nodes} == names | {"d1", "d2"}
    owned = [interface.address for interface in plan.topology.interfaces]
    assert len(set(owned)) == len(owned)
    assert not {address for setup in plan.pair for address, _ in setup.virtual} & set(owned)
    first, second = plan.pair
    assert (first.peer_outside, second.peer_outside) == (second.outside.address, first.outside.address)
    assert first.pair.network == second.pair.network
    assert all(script.text for setup in plan.setups for script in scripts_for(setup).values())


@pytest.mark.parametrize("method", METHODS)
def test_neither_of_two_directors_starts_with_the_vip(method: str) -> None:
    plan = plan_for("ha", HaOptions(method=method))
    directors = [setup for setup in plan.setups if isinstance(setup, DirectorSetup)]
    assert len(directors) == 2
    for setup in directors:
        texts = [script.text for name, script in scripts_for(setup).items() if "rules" not in name]
        assert not any(plan.vip in line for text in texts for line in text.splitlines() if line[:1] != "#")


def test_the_gateway_of_vs_nat_moves_with_the_vip() -> None:
    plan = plan_for("ha", HaOptions(method="nat"))
    server = next(setup for setup in plan.setups if isinstance(setup, RealServerSetup))
    assert server.gateway == addresses.DIRECTOR_INSIDE
    assert [setup.virtual[1] for setup in plan.pair] == [
        (server.gateway, "d1-eth1"),
        (server.gateway, "d2-eth1"),
    ]


def test_every_site_of_vs_tun_has_its_own_router() -> None:
    plan = plan_for("tun", LabOptions(servers=10))
    routers = plan.nodes(Role.ROUTER)
    assert len(routers) == 1 + addresses.SITES
    networks = {server.interfaces[0].switch for server in plan.nodes(Role.SERVER)}
    assert len(networks) == addresses.SITES


@pytest.mark.parametrize("method", METHODS)
def test_the_packet_table_starts_at_the_client_and_ends_with_a_reply(method: str) -> None:
    plan = plan_for(method, LabOptions())
    client = plan.nodes(Role.CLIENT)[0].interfaces[0]
    rows = [hop.expected for hop in plan.hops(plan.servers[1], client, 40001)]
    assert rows[0].source == f"{client.address}:40001"
    assert rows[0].dest == "203.0.113.1:80"
    assert rows[-1].source == "203.0.113.1:80"
    assert {row.source_mac is not None for row in rows} == {method == "dr"}
    assert any(row.outer_source for row in rows) == (method == "tun")
