"""The plans of the three labs, before anything is built."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from availability.config import config_reader
from availability.vrrp import instances
from director.core.real_server import Method
from director.formats.ipvsadm_words import endpoint
from labs.methods import METHODS
from labs.network import addresses
from labs.network.topology import Role
from labs.plan import Plan, plan_for
from labs.run.options import HaOptions, LabOptions
from realserver_setup.build import DirectorSetup, RealServerSetup
from realserver_setup.render import configuration, rules_for, scripts_for


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


# ---- IPv6 ----


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("servers", [1, 3, 200])
def test_a_plan_in_ipv6_has_the_same_hosts(method: str, servers: int) -> None:
    alone, plan = (plan_for(method, LabOptions(servers=servers, family=family)) for family in (4, 6))
    assert (plan.version, plan.family, plan.parts) == (6, 6, (plan,))
    assert plan.topology.names_of_macs == alone.topology.names_of_macs
    assert [node.name for node in plan.topology.nodes] == [node.name for node in alone.topology.nodes]
    scripts = {name: script.text for setup in plan.setups for name, script in scripts_for(setup).items()}
    assert scripts.keys() == {name for setup in alone.setups for name in scripts_for(setup)}
    owned = {interface.address for interface in plan.topology.interfaces}
    assert len(owned) == len(plan.topology.interfaces)
    written = {ip_address(word) for text in scripts.values() for word in ADDRESS.findall(text)}
    assert not {address for address in written if address.version == 4}
    assert {ip_address(address) for address in owned} <= written


ADDRESS = re.compile(r"(?<![\w:.])(?:(?:[0-9a-f]{1,4}:)+:?[0-9a-f]+|\d+\.\d+\.\d+\.\d+)(?![\w:.])")


@pytest.mark.parametrize("method", METHODS)
def test_a_lab_with_both_versions_is_one_network(method: str) -> None:
    plan = plan_for(method, LabOptions(family=46))
    assert plan.second is not None
    assert (plan.version, plan.second.version, plan.family) == (4, 6, 46)
    assert plan.second.topology.names_of_macs == plan.topology.names_of_macs
    names = [name for part in plan.parts for setup in part.setups for name in scripts_for(setup)]
    assert len(set(names)) == len(names)
    assert {"rs1/1999/realserver.sh", "rs1/1999/realserver6.sh"} <= set(names)
    given = rules_for(director_setup(plan)).text
    assert all(given.count(f"{server.address}") for part in plan.parts for server in part.servers)
    for part in plan.parts:
        for setup in part.setups:
            text = "".join(script.text for script in scripts_for(setup).values())
            assert "disable_ipv6=1; fi" not in text.replace("echo 1 > ", "")  # IPv4's leave IPv6 on


def test_rules_have_brackets_also_in_a_list() -> None:
    few, many = (
        rules_for(director_setup(plan_for("dr", LabOptions(servers=servers, family=6)))).text
        for servers in (1, 13)
    )
    assert "ippfvsadm -A -t '[2001:db8:cb00:71::1]:80' -R '[2001:db8:cb00:71::11]:80'\n" in few
    assert "\n-A -t [2001:db8:cb00:71::1]:80 -R [2001:db8:cb00:71::11]:80\n" in many


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
    assert (first.peer, second.peer) == (second.name, first.name)
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


@pytest.mark.parametrize(
    ("family", "vip", "gateway"),
    [(4, "203.0.113.1/32", "172.16.0.1/32"), (6, "2001:db8:cb00:71::1/128", "fd00:ac10::1/128")],
)
def test_addresses_that_move_are_networks_of_one_address(
    tmp_path: Path, family: int, vip: str, gateway: str
) -> None:
    file = tmp_path / "keepalived.conf"
    setup = plan_for("ha", HaOptions(method="nat", family=family)).pair[1]
    file.write_text(configuration("keepalived.conf.j2", host=setup))
    read = config_reader.load(file)
    (router,), _ = instances.read(read)
    moving = [(f"{address.address}/{address.bits}", address.interface) for address in router.addresses]
    assert moving == [(vip, "d2-eth0"), (gateway, "d2-eth1")]
    assert router.settings.is_ipv6 is (family == 6)
    served = [virtual.keys[0]["address"] for virtual in read.servers]
    assert served == [endpoint(setup.vip, port) for port in (80, 21)]


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
