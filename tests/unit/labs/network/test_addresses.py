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


# ---- IPv6 ----

IN_IPV6 = addresses.PUBLISHED.in_ipv6()


def test_the_twins_show_where_they_come_from() -> None:
    assert IN_IPV6.vip == "2001:db8:cb00:71::1"
    assert IN_IPV6.client(1) == "2001:db8:c633:64::101"
    assert [IN_IPV6.private_server(n) for n in (1, 2)] == ["fd00:ac10::2", "fd00:ac10::3"]
    assert [IN_IPV6.site_server(n) for n in (1, 2)] == ["2001:db8:c000:200::2", "2001:db8:c000:220::2"]
    assert IN_IPV6.site_network(7) == "2001:db8:c000:2e0::/64"
    assert IN_IPV6.director_network == "2001:db8:cb00:71::/64"
    assert IN_IPV6.in_ipv6() == IN_IPV6


def test_every_host_keeps_its_mac() -> None:
    """So the names of MACs are the same in both, and no two hosts have the same address."""
    last = [*range(1, 255)]
    hosts = [f"{network}.{host}" for network in ("198.51.100", "203.0.113", "172.16.0") for host in last]
    hosts += [f"192.0.2.{host}" for host in last if host % 32]
    twins = [addresses.ipv6_twin(host) for host in hosts]
    assert [addresses.mac_of(twin) for twin in twins] == [addresses.mac_of(host) for host in hosts]
    assert all(str(ip_address(twin)) == twin for twin in twins)


def test_every_site_server_is_in_the_ipv6_network_of_its_site() -> None:
    for number in range(1, 201):
        network = ip_network(IN_IPV6.site_network(addresses.site_of(number)))
        assert ip_address(IN_IPV6.site_server(number)) in network
        assert ip_address(IN_IPV6.site_router(addresses.site_of(number))) in network


def test_a_link_local_address_contains_the_mac() -> None:
    assert addresses.link_local("02:00:cb:00:71:02") == "fe80::cbff:fe00:7102"


def test_a_mac_contains_its_address_and_is_locally_administered() -> None:
    assert addresses.mac_of("203.0.113.2") == "02:00:cb:00:71:02"
