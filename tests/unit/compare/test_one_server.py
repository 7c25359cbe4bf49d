"""The plans of the trials' labs, and what the servers' scripts change."""

from __future__ import annotations

import pytest

from compare.one_server import FAR, NEAR, PLACES, changes, plan_at
from labs.network.topology import Role
from realserver_setup.build import RealServerSetup
from realserver_setup.render import scripts_for


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_every_plan_renders_and_has_one_server(method: str, place: str, family: int) -> None:
    plan = plan_at(method, place, family)
    assert plan.version == family
    texts = [script.text for setup in plan.setups for script in scripts_for(setup).values()]
    assert not any(" 203.0.113." in text or " 192.0.2." in text for text in texts if family == 6)
    assert plan.method.name.lower() == method
    assert {setup.name for setup in plan.setups} == {node.name for node in plan.topology.nodes}
    assert all(script.text for setup in plan.setups for script in scripts_for(setup).values())
    (server,) = (setup for setup in plan.setups if isinstance(setup, RealServerSetup))
    assert server.interface.address == plan.servers[0].address


@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_elsewhere_is_behind_a_router(method: str) -> None:
    def networks(place: str) -> set[str]:
        plan = plan_at(method, place)
        director = {interface.switch for interface in plan.topology.director.interfaces}
        server = {interface.switch for node in plan.nodes(Role.SERVER) for interface in node.interfaces}
        return director & server

    assert networks(NEAR)
    assert not networks(FAR)


def test_the_scripts_say_what_a_server_needs() -> None:
    assert changes("nat") == []
    assert any("tunl0" in line for line in changes("tun"))
    assert any("lo:0" in line for line in changes("dr"))
    assert not any("tunl0" in line for line in changes("dr"))


def test_in_ipv6_the_scripts_say_the_same() -> None:
    assert changes("nat", 6) == []
    assert any("ifconfig ip6tnl0 add" in line for line in changes("tun", 6))
    assert any("ifconfig lo add" in line for line in changes("dr", 6))
    assert not any("arp" in line for line in changes("dr", 6))
