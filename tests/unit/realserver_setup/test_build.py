"""Illegal values are refused in one sentence that names the field."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from director.core.real_server import Method
from realserver_setup.build import (
    ClientSetup,
    DirectorSetup,
    Interface,
    RealServerSetup,
    Route,
    RouterSetup,
    Rule,
    Setup,
)
from realserver_setup.errors import InvalidValue, SetupError

VIP = "203.0.113.1"
INSIDE = Interface("rs1-eth0", "172.16.0.2", 24)
OUTSIDE = Interface("d-eth0", "203.0.113.2", 24)


def server(
    method: Method = Method.NAT,
    name: str = "rs1",
    interface: Interface = INSIDE,
    gateway: str = "172.16.0.1",
    vip: str = VIP,
    http_port: int = 80,
) -> RealServerSetup:
    return RealServerSetup(method, name, interface, gateway, vip, http_port)


def director(
    outside: Interface = OUTSIDE,
    inside: Interface | None = None,
    method: Method = Method.DR,
    rules: tuple[Rule, ...] = (),
    routes: tuple[Route, ...] = (),
) -> DirectorSetup:
    return DirectorSetup(method, "d", VIP, outside, inside, "203.0.113.254", rules, routes)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 16,
        "eth 0",
        "eth0;reboot",
        "eth0\n",
        "-a",
        "..",
        ".",
        "../lo",
        "eth/0",
        "eth0:0",
        "all",
        "d'",
        "\0",
    ],
)
def test_an_interface_has_a_plain_name(name: str) -> None:
    with pytest.raises(InvalidValue, match=r"^interface: expected an interface name .*, got "):
        Interface(name, "172.16.0.2", 24)


@pytest.mark.parametrize(
    "address",
    [
        "172.16.0.256",
        "172.16.0",
        "::1",
        "",
        "172.16.0.2/24",
        "172.16.0.2\n",
        "224.0.0.1",
        "0.0.0.0",
        "$(reboot)",
    ],
)
def test_an_address_belongs_to_one_host(address: str) -> None:
    with pytest.raises(InvalidValue, match=r"^address: expected .*, got "):
        Interface("rs1-eth0", address, 24)


@pytest.mark.parametrize("address", ["172.16.0.0", "172.16.0.255"])
def test_an_address_is_not_the_network_s_own(address: str) -> None:
    with pytest.raises(InvalidValue, match=r"the address of a host in 172\.16\.0\.0/24"):
        Interface("rs1-eth0", address, 24)


@pytest.mark.parametrize("prefix", [0, 33, -1, True, "24"])
def test_a_prefix_has_1_to_32_bits(prefix: int) -> None:
    with pytest.raises(InvalidValue, match=r"^prefix: "):
        Interface("rs1-eth0", "172.16.0.2", prefix)


def test_an_interface_knows_its_network() -> None:
    interface = Interface("rs1-eth0", "192.0.2.34", 27)
    assert (interface.netmask, interface.broadcast) == ("255.255.255.224", "192.0.2.63")
    assert str(interface.network) == "192.0.2.32/27"


REFUSED: dict[str, tuple[str, Callable[[], Setup | Rule | Route]]] = {
    "gateway on another network": ("gateway", lambda: server(gateway="172.16.1.1")),
    "gateway that is the host itself": ("gateway", lambda: server(gateway="172.16.0.2")),
    "VIP that is the host's own": ("vip", lambda: server(vip="172.16.0.2")),
    "VIP that is no address": ("vip", lambda: server(vip="vip")),
    "host name with a newline": ("name", lambda: server(name="rs1\nreboot")),
    "host name that is a path": ("name", lambda: server(name="../rs1")),
    "port 0": ("http_port", lambda: server(http_port=0)),
    "port 65536": ("http_port", lambda: server(http_port=65536)),
    "a method that has no real servers": ("method", lambda: server(method=Method.LOCAL)),
    "no room for the alias": ("outside", lambda: director(Interface("director-out00", "203.0.113.2", 24))),
    "the same interface twice": (
        "interfaces",
        lambda: director(OUTSIDE, Interface("d-eth0", "172.16.0.1", 24)),
    ),
    "the VIP as the director's address": ("vip", lambda: director(Interface("d-eth0", VIP, 24))),
    "another port in VS-DR": (
        "server_port",
        lambda: director(rules=(Rule("tcp", 80, "203.0.113.11", 8000),)),
    ),
    "a router without interfaces": ("interfaces", lambda: RouterSetup("r0", ())),
    "a route that starts elsewhere": (
        "gateway",
        lambda: RouterSetup("r0", (OUTSIDE,), (Route("192.0.2.0/27", "198.51.100.11"),)),
    ),
    "a destination named twice": (
        "routes",
        lambda: director(
            routes=(Route("192.0.2.0/27", "203.0.113.254"), Route("192.0.2.0/27", "203.0.113.253"))
        ),
    ),
    "a destination with host bits": ("destination", lambda: Route("192.0.2.1/27", "203.0.113.254")),
    "a destination that is an option": ("destination", lambda: Route("-net", "203.0.113.254")),
    "a protocol of its own": ("protocol", lambda: Rule("sctp", 80, "172.16.0.2", 80)),
    "a weight of 0": ("weight", lambda: Rule("tcp", 80, "172.16.0.2", 80, 0)),
    "a client without gateway": ("gateway", lambda: ClientSetup("c1", INSIDE, "")),
}


@pytest.mark.parametrize(("field", "build"), REFUSED.values(), ids=REFUSED)
def test_refused(field: str, build: Callable[[], Setup | Rule | Route]) -> None:
    with pytest.raises(SetupError) as refusal:
        build()
    assert isinstance(refusal.value, InvalidValue)
    assert refusal.value.field == field
    assert str(refusal.value).startswith(f"{field}: expected ")
    assert "\n" not in str(refusal.value)


def test_ports_can_change_in_vs_nat_only() -> None:
    inside = Interface("d-eth1", "172.16.0.1", 24)
    assert director(inside=inside, method=Method.NAT, rules=(Rule("tcp", 80, "172.16.0.3", 8000),)).rules


@pytest.mark.parametrize(("weight", "options"), [(None, ()), (1, ()), (2, ("-w", "2"))])
def test_a_weight_of_1_is_omitted(weight: int | None, options: tuple[str, ...]) -> None:
    assert Rule("tcp", 80, "172.16.0.2", 80, weight).options == options


def test_requests_arrive_for_the_vip_unless_it_is_rewritten() -> None:
    on_the_lan = Interface("rs1-eth0", "203.0.113.11", 24)
    assert server().serving_address == "172.16.0.2"
    assert server(Method.DR, interface=on_the_lan, gateway="203.0.113.254").serving_address == VIP
