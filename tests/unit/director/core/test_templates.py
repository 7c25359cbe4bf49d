"""Persistence (ipvsadm -p): a client stays with its server, for how long and for what."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.commands import AddServer, AddService, DeleteServer, EditServer, ServiceKey, SetSysctl
from director.core.decision import Forward, Pass, Reject
from director.core.director import Director
from director.core.packet import ACK, SYN, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from tests.unit.director.core.support import CIP, VIP, WEB, client, tcp

KEY = ServiceKey(TCP, WEB)


def persistent(key: ServiceKey = KEY, *, method: Method = Method.DR, **more: Any) -> Director:
    director = Director(method=method, scheduler="rr")
    more.setdefault("persistent", 300)
    servers = [AddServer(key, Endpoint(f"203.0.113.{host}", key.address.port)) for host in (13, 12, 11)]
    director.apply([AddService(key, **more), *servers], 0)
    return director


def server(director: Director, source: Endpoint, to: Endpoint = WEB, now: float = 0, flags: int = SYN) -> str:
    decision = director.decide(tcp(source, to, flags), now)
    return decision.next_hop if isinstance(decision, Forward) else type(decision).__name__


def templates(director: Director, now: float = 0) -> list[dict[str, Any]]:
    return [one for one in director.listing(now) if one["client"].endswith(":0")]


def test_a_client_stays_and_another_gets_the_next() -> None:
    director = persistent()
    assert {server(director, client(port)) for port in range(1, 9)} == {"203.0.113.11"}
    assert server(director, client(1, "198.51.100.102")) == "203.0.113.12"


def test_it_ends_after_the_last_new_connection() -> None:
    director = persistent()
    server(director, client(1))
    for now, expected in ((250, "203.0.113.11"), (500, "203.0.113.11")):
        director.expire(now)
        assert server(director, client(now), now=now) == expected
    director.expire(801)  # SYN_RECV has ended, too
    assert not templates(director, 801)
    assert server(director, client(2), now=801) == "203.0.113.12"


def test_it_lives_on_with_a_connection_a_minute_at_a_time() -> None:
    director = persistent()
    server(director, client(1))
    server(director, client(1), flags=ACK)
    director.expire(301)
    assert templates(director, 301)[0]["expires"] == pytest.approx(60, abs=1)
    director.expire(899)
    assert templates(director, 899)
    director.expire(1100)  # the connection ended at 900, the template within the minute
    director.expire(1101)
    assert not templates(director, 1101)


def test_one_service_is_not_another() -> None:
    director = persistent()
    other = ServiceKey(TCP, Endpoint(VIP, 443))
    director.apply([AddService(other, persistent=300), AddServer(other, Endpoint("203.0.113.12", 443))], 0)
    assert server(director, client(1)) == "203.0.113.11"
    assert server(director, client(1), Endpoint(VIP, 443)) == "203.0.113.12"


def test_a_network_of_clients_counts_as_one() -> None:
    director = persistent(netmask="255.255.255.0")
    hosts = [server(director, client(1, f"198.51.100.{host}")) for host in range(1, 9)]
    assert set(hosts) == {"203.0.113.11"}
    assert server(director, client(1, "198.51.101.1")) == "203.0.113.12"
    assert templates(director)[0]["client"] == "198.51.100.0:0"


def test_port_zero_is_every_port() -> None:
    director = persistent(ServiceKey(TCP, Endpoint(VIP, 0)))
    assert {server(director, client(port), Endpoint(VIP, port)) for port in (22, 80, 443)} == {"203.0.113.11"}
    assert [one["vip"] for one in templates(director)] == [f"{VIP}:0"]


def test_port_zero_takes_only_what_no_other_service_wants() -> None:
    director = persistent(ServiceKey(TCP, Endpoint(VIP, 0)))
    director.apply([AddService(KEY), AddServer(KEY, Endpoint("203.0.113.19", 80))], 0)
    assert server(director, client(1)) == "203.0.113.19"
    assert server(director, client(2), Endpoint(VIP, 22)) == "203.0.113.11"


def test_port_zero_in_nat_keeps_the_port() -> None:
    director = persistent(ServiceKey(TCP, Endpoint(VIP, 0)), method=Method.NAT)
    decision = director.decide(tcp(client(1), Endpoint(VIP, 25)), 0)
    assert isinstance(decision, Forward)
    assert decision.destination == Endpoint("203.0.113.11", 25)


def test_udp_is_persistent_too() -> None:
    director = persistent(ServiceKey(UDP, Endpoint(VIP, 53)))
    hops = set()
    for port in range(1, 6):
        decision = director.decide(Packet(UDP, client(port), Endpoint(VIP, 53), 60), 0)
        assert isinstance(decision, Forward)
        hops.add(decision.next_hop)
    assert len(hops) == 1


@pytest.mark.parametrize(("expires", "expected"), [(0, "203.0.113.11"), (1, "203.0.113.12")])
def test_a_quiet_server_keeps_its_clients_unless_told_otherwise(expires: int, expected: str) -> None:
    director = persistent()
    server(director, client(1))
    quiet = EditServer(KEY, Endpoint("203.0.113.11", 80), weight=0)
    director.apply([SetSysctl("expire_quiescent_template", expires), quiet], 0)
    assert server(director, client(2)) == expected


def test_a_deleted_server_loses_its_clients() -> None:
    director = persistent()
    server(director, client(1))
    director.apply([DeleteServer(KEY, Endpoint("203.0.113.11", 80))], 0)
    elsewhere = server(director, client(2))
    assert elsewhere in ("203.0.113.12", "203.0.113.13")
    kept, lost = templates(director)
    assert kept["server"].startswith(elsewhere)
    assert (lost["server"], lost["vip"]) == ("203.0.113.11:65535", "203.0.113.1:65535")
    director.expire(10_000)
    assert templates(director) == []


def test_a_server_counts_the_clients_it_holds() -> None:
    director = persistent()
    for host in range(1, 7):
        server(director, client(1, f"198.51.100.{host}"))
    (service,) = director.rules
    assert [one.templates for one in service.servers] == [2, 2, 2]
    director.expire(10_000)
    assert [one.templates for one in service.servers] == [0, 0, 0]


def test_it_is_assured_once_a_connection_is_established() -> None:
    director = persistent()
    server(director, client(1))
    assert templates(director)[0]["state"] == "NONE"
    server(director, client(1), flags=ACK)
    assert templates(director)[0]["state"] == "ASSURED"


def test_with_nobody_left_the_client_is_told() -> None:
    director = persistent()
    (service,) = director.rules
    director.apply([EditServer(KEY, one.address, weight=0) for one in service.servers], 0)
    assert isinstance(director.decide(tcp(client(1), WEB), 0), Reject)
    assert not templates(director)


def test_without_persistence_another_port_is_the_kernels() -> None:
    director = Director(method=Method.DR)
    ftp = ServiceKey(TCP, Endpoint(VIP, 21))
    director.apply([AddService(ftp, persistent=0), AddServer(ftp, Endpoint("203.0.113.11", 21))], 0)
    assert server(director, client(1), Endpoint(VIP, 21)) == "203.0.113.11"
    assert isinstance(director.decide(tcp(client(2), Endpoint(VIP, 30000)), 0), Pass)
    assert not templates(director)


def test_its_row_reads_like_the_kernels() -> None:
    director = persistent()
    server(director, client(1))
    (row,) = templates(director)
    assert row == {
        "protocol": "TCP",
        "expires": 300.0,
        "state": "NONE",
        "client": f"{CIP}:0",
        "vip": str(WEB),
        "server": "203.0.113.11:80",
    }
