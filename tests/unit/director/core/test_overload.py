"""Overload: a flood takes memory up to the limit, and ends no established connection."""

from __future__ import annotations

import gc

import pytest

from director.core.commands import AddServer, AddService, ServiceKey, SetSysctl, SetTimeouts
from director.core.connections import Connection
from director.core.decision import Drop, Forward
from director.core.director import Director
from director.core.errors import BadValue
from director.core.packet import ACK, SYN, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from director.core.states import State
from tests.unit.director.core.support import VIP, WEB, client, published, tcp

LIMIT = 1000


def spoofed(number: int) -> Endpoint:
    return Endpoint(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 1024 + number % 50000)


def establish(director: Director, number: int) -> None:
    for port in range(1001, 1001 + number):
        decision = director.decide(tcp(client(port), WEB), 0)
        assert isinstance(decision, Forward)
        director.decide(tcp(decision.destination, client(port), SYN | ACK), 0)
        director.decide(tcp(client(port), WEB, ACK), 0)


def used(director: Director) -> int:
    return len(director.connections) + len(director.templates)


def established(director: Director) -> int:
    return sum(connection.state is State.ESTABLISHED for connection in director.connections)


@pytest.mark.parametrize("persistent", [0, 300])
def test_a_flood_stays_within_the_limit_and_breaks_nothing(persistent: int) -> None:
    director = Director(conn_limit=LIMIT)
    key = ServiceKey(TCP, WEB)
    director.apply([AddService(key, persistent=persistent), AddServer(key, Endpoint("172.16.0.2", 80))], 0)
    establish(director, 100)
    for number in range(20_000):
        director.decide(tcp(spoofed(number), WEB), number / 1000)
        assert used(director) <= LIMIT + 1  # a connection and its template come together
    for port in range(1001, 1101):
        assert isinstance(director.decide(tcp(client(port), WEB, ACK), 20), Forward)
    assert established(director) == 100


def test_a_new_client_gets_an_entry_during_a_flood() -> None:
    director = published(conn_limit=LIMIT)
    for number in range(3 * LIMIT):
        director.decide(tcp(spoofed(number), WEB), 0)
    establish(director, 5)
    assert established(director) == 5


def test_established_connections_are_never_evicted() -> None:
    director = published(conn_limit=50)
    establish(director, 50)
    decision = director.decide(tcp(client(99), WEB), 0)
    assert isinstance(decision, Drop)
    assert "50 entries" in decision.reasons[0]
    assert len(director.connections) == 50


def test_tcp_evicts_udp_but_not_the_other_way_round() -> None:
    director = published(conn_limit=50)
    names = ServiceKey(UDP, Endpoint(VIP, 53))
    director.apply([AddService(names), AddServer(names, Endpoint("172.16.0.2", 53))], 0)
    for port in range(1, 200):
        director.decide(Packet(UDP, client(port), names.address, 60), 0)
    establish(director, 50)
    assert established(director) == 50
    assert isinstance(director.decide(Packet(UDP, client(1), names.address, 60), 0), Drop)


def test_an_evicted_connection_leaves_the_timers() -> None:
    """Otherwise it would stay in memory until it expires."""
    director = published(conn_limit=LIMIT)
    for number in range(6 * LIMIT):
        assert isinstance(director.decide(tcp(spoofed(number), WEB), 0), Forward)
    gc.collect()
    alive = sum(isinstance(item, Connection) for item in gc.get_objects())
    assert alive <= LIMIT + 1024 + 100


@pytest.mark.parametrize("name", ["drop_entry", "drop_packet", "secure_tcp"])
def test_the_automatic_strategies_follow_the_attack(name: str) -> None:  # differs: defence-by-places
    director = published(conn_limit=100)
    director.apply([SetSysctl(name, 1)], 0)
    assert getattr(director.rules.sysctls, name) == 1
    for number in range(80):
        director.decide(tcp(spoofed(number), WEB), 0)
    director.tick(1)
    assert getattr(director.rules.sysctls, name) == 2
    director.tick(61)  # all have ended
    director.tick(62)
    assert getattr(director.rules.sysctls, name) == 1


@pytest.mark.parametrize("value", [0, 3])
def test_strategies_0_and_3_never_change(value: int) -> None:
    director = published(conn_limit=10)
    director.apply([SetSysctl("drop_packet", value)], 0)
    for number in range(20):
        director.decide(tcp(spoofed(number), WEB), 0)
    director.tick(1)
    assert director.rules.sysctls.drop_packet == value


def test_the_limit_must_be_positive() -> None:
    with pytest.raises(BadValue, match="conn-limit"):
        Director(conn_limit=0)


def test_an_eviction_is_an_event() -> None:
    kinds: list[str] = []
    director = published(conn_limit=1, on_event=lambda event: kinds.append(event.kind))
    director.decide(tcp(client(1), WEB), 0)
    director.decide(tcp(client(2), WEB), 0)
    assert kinds.count("evicted") == 1


def test_the_limit_holds_in_vs_tun_too() -> None:
    director = Director(method=Method.TUN, conn_limit=3)
    key = ServiceKey(TCP, WEB)
    director.apply([AddService(key), AddServer(key, Endpoint("192.0.2.2", 80))], 0)
    for number in range(9):
        director.decide(tcp(spoofed(number), WEB), 0)
    assert len(director.connections) == 3


@pytest.mark.parametrize("connections", [1, 20, 33])
def test_drop_entry_scans_all_of_a_small_table(connections: int) -> None:
    director = published()
    director.apply([SetSysctl("drop_entry", 3), SetTimeouts(900, 120, 300)], 0)
    for number in range(connections):
        director.decide(tcp(spoofed(number), WEB), 20)
    for second in range(21, 21 + 32):
        director.tick(second)
    assert len(director.connections) <= 1


def silent(director: Director, packets: int, since: float) -> Connection:
    """A connection that was established, and has been idle since."""
    establish(director, 1)
    (connection,) = director.connections
    for _ in range(packets - connection.packets):
        director.decide(tcp(connection.client, WEB, ACK), since)
    return connection


@pytest.mark.parametrize(
    ("packets", "until", "gone"), [(3, 59, False), (3, 70, True), (8, 70, True), (9, 800, False)]
)
def test_drop_entry_evicts_hardly_used_connections(packets: int, until: int, gone: bool) -> None:
    """Source: todrop_entry; of those with n packets, the first is evicted, then one in n."""
    director = published()
    director.apply([SetSysctl("drop_entry", 3)], 0)
    silent(director, packets, 0.0)
    for second in range(1, until):
        director.tick(second)
    assert (len(director.connections) == 0) is gone


def test_drop_entry_evicts_one_udp_connection_in_as_many_as_its_packets() -> None:
    director = published()
    names = ServiceKey(UDP, Endpoint(VIP, 53))
    server = AddServer(names, Endpoint("172.16.0.2", 53))
    director.apply([AddService(names), server, SetSysctl("drop_entry", 3)], 0)
    for port in range(101, 121):
        for _ in range(4):
            director.decide(Packet(UDP, client(port), names.address, 60), 0)
    for second in range(62, 62 + 3 * 32):
        director.tick(second)
        left = len(director.connections)
        if second == 62 + 19:
            assert left == 15  # all were looked at once
    assert left < 15
