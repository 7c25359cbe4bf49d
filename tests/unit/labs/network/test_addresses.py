from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from labs.network import addresses


def test_the_published_example_of_vs_nat() -> None:
    assert [addresses.PUBLISHED.private_server(n) for n in (1, 2)] == ["172.16.0.2", "172.16.0.3"]


def test_every_site_server_is_in_the_network_of_its_site() -> None:
    for number in range(1, 201):
        site = addresses.site_of(number)
        network = ip_network(addresses.site_network(site))
        assert ip_address(addresses.PUBLISHED.site_server(number)) in network
        assert ip_address(addresses.site_router(site)) in network


@pytest.mark.parametrize(
    "server",
    [addresses.PUBLISHED.private_server, addresses.PUBLISHED.lan_server, addresses.PUBLISHED.site_server],
    ids=["nat", "dr", "tun"],
)
def test_two_hundred_servers_have_different_addresses(server: object) -> None:
    assert callable(server)
    given = {server(n) for n in range(1, 201)}
    taken = {addresses.VIP, addresses.DIP, addresses.ROUTER_LAN, addresses.DIRECTOR_INSIDE}
    taken |= {addresses.site_router(site) for site in range(addresses.SITES)}
    assert len(given) == 200
    assert not given & taken


def test_no_site_server_has_a_network_or_broadcast_address() -> None:
    for number in range(1, 201):
        network = ip_network(addresses.site_network(addresses.site_of(number)))
        assert ip_address(addresses.PUBLISHED.site_server(number)) in set(network.hosts())


def test_a_mac_contains_its_address_and_is_locally_administered() -> None:
    assert addresses.mac_of("203.0.113.2") == "02:00:cb:00:71:02"
