"""Persistence (ipvsadm -p): a client stays with its server, for how long and for which connections."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.commands import AddServer, AddService, DeleteServer, EditServer, ServiceKey, SetSysctl
from director.core.decision import Drop, Forward, Pass, Reject
from director.core.director import Director
from director.core.packet import ACK, FIN, SYN, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from tests.unit.director.core.support import CIP, FTP, VIP, WEB, client, direct, entry, tcp

# ---- templates ----


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
    return [row for row in director.listing(now) if row["client"].endswith(":0")]


def test_a_client_stays_and_another_gets_the_next() -> None:
    director = persistent()
    assert {server(director, client(port)) for port in range(1, 9)} == {"203.0.113.11"}
    assert server(director, client(1, "198.51.100.102")) == "203.0.113.12"


def test_a_template_expires_after_the_last_new_connection() -> None:
    director = persistent()
    server(director, client(1))
    for now, expected in ((250, "203.0.113.11"), (500, "203.0.113.11")):
        director.expire(now)
        assert server(director, client(now), now=now) == expected
    director.expire(801)  # SYN_RECV has ended, too
    assert not templates(director, 801)
    assert server(director, client(2), now=801) == "203.0.113.12"


def test_a_template_with_a_connection_lives_on_minute_by_minute() -> None:
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


def test_services_do_not_share_templates() -> None:
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
    assert [template["vip"] for template in templates(director)] == [f"{VIP}:0"]


def test_port_zero_takes_only_ports_without_a_service() -> None:
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
def test_a_quiesced_server_keeps_its_clients_by_default(expires: int, expected: str) -> None:
    director = persistent()
    server(director, client(1))
    quiesce = EditServer(KEY, Endpoint("203.0.113.11", 80), weight=0)
    director.apply([SetSysctl("expire_quiescent_template", expires), quiesce], 0)
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


def test_a_server_counts_its_templates() -> None:
    director = persistent()
    for host in range(1, 7):
        server(director, client(1, f"198.51.100.{host}"))
    (service,) = director.rules
    assert [real_server.templates for real_server in service.servers] == [2, 2, 2]
    director.expire(10_000)
    assert [real_server.templates for real_server in service.servers] == [0, 0, 0]


def test_a_template_is_assured_once_a_connection_is_established() -> None:
    director = persistent()
    server(director, client(1))
    assert templates(director)[0]["state"] == "NONE"
    server(director, client(1), flags=ACK)
    assert templates(director)[0]["state"] == "ASSURED"


def test_without_an_available_server_the_client_is_rejected() -> None:
    director = persistent()
    (service,) = director.rules
    director.apply([EditServer(KEY, real_server.address, weight=0) for real_server in service.servers], 0)
    assert isinstance(director.decide(tcp(client(1), WEB), 0), Reject)
    assert not templates(director)


def test_without_persistence_another_port_is_passed() -> None:
    director = Director(method=Method.DR)
    ftp = ServiceKey(TCP, Endpoint(VIP, 21))
    director.apply([AddService(ftp, persistent=0), AddServer(ftp, Endpoint("203.0.113.11", 21))], 0)
    assert server(director, client(1), Endpoint(VIP, 21)) == "203.0.113.11"
    assert isinstance(director.decide(tcp(client(2), Endpoint(VIP, 30000)), 0), Pass)
    assert not templates(director)


def test_a_template_is_listed_as_in_the_kernel() -> None:
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


# ---- ftp in VS-TUN and VS-DR ----


FTP_KEY = ServiceKey(TCP, FTP)
DATA = Endpoint(VIP, 30000)


def server_of(director: Director, port: int, to: Endpoint, now: float = 0.0) -> str | None:
    decision = director.decide(tcp(client(port), to), now)
    return decision.next_hop if isinstance(decision, Forward) else None


def established() -> tuple[Director, str]:
    """A director with one ftp session, and the address of its server."""
    director = direct()
    server = server_of(director, 1, FTP)
    assert server is not None
    director.decide(tcp(client(1), FTP, ACK), 0)
    return director, server


def test_every_control_connection_of_a_client_goes_to_one_server() -> None:
    director = direct()
    assert len({server_of(director, port, FTP) for port in range(1, 6)}) == 1


def test_a_session_keeps_its_server_while_a_connection_lives() -> None:
    """Idle for ten minutes, longer than the template's own 300 s."""
    director, server = established()
    for now in range(60, 660, 60):
        director.expire(now)
    assert server_of(director, 2, DATA, 660) == server


def test_other_traffic_of_the_client_does_not_prolong_it() -> None:
    director, server = established()
    director.decide(tcp(client(1), FTP, FIN | ACK), 0)
    for now in range(0, 600, 50):
        director.decide(tcp(client(2), WEB, SYN if now == 0 else ACK), now)
        director.expire(now)
    assert server_of(director, 3, DATA, 600) != server


@pytest.mark.parametrize("port", [22, 443, 1023])
def test_well_known_ports_are_not_data_ports(port: int) -> None:
    director, _ = established()
    assert isinstance(director.decide(tcp(client(2), Endpoint(VIP, port)), 0), Pass)


def test_the_clients_answer_to_an_active_data_connection_is_forwarded() -> None:
    director, server = established()
    decision = director.decide(tcp(client(40000), Endpoint(VIP, 20), SYN | ACK), 0)
    assert isinstance(decision, Forward)
    assert decision.next_hop == server


def test_weight_zero_keeps_the_session() -> None:
    director, server = established()
    director.apply([EditServer(FTP_KEY, Endpoint(server, 21), weight=0)], 0)
    assert server_of(director, 2, DATA) == server
    assert server_of(director, 3, FTP) == server


def test_a_deleted_servers_sessions_are_dropped() -> None:
    director, server = established()
    director.apply([DeleteServer(FTP_KEY, Endpoint(server, 21))], 0)
    assert isinstance(director.decide(tcp(client(1), FTP, ACK), 0), Drop)
    assert server_of(director, 2, DATA) not in (None, server)
    assert server_of(director, 3, FTP) not in (None, server)


def test_the_data_connection_is_remembered_with_its_own_port() -> None:
    director, server = established()
    decision = director.decide(tcp(client(2), DATA), 0)
    assert isinstance(decision, Forward)
    known = entry(director, client(2), DATA)
    assert (known.vip, known.server_endpoint) == (DATA, Endpoint(server, 30000))
    again = director.decide(tcp(client(2), DATA, ACK), 0)
    assert isinstance(again, Forward)
    assert entry(director, client(2), DATA) is known


def test_udp_on_port_21_is_not_ftp() -> None:
    director = Director(method=Method.DR)
    key = ServiceKey(UDP, FTP)
    director.apply([AddService(key), AddServer(key, Endpoint("203.0.113.11", 21))], 0)
    assert isinstance(director.decide(Packet(UDP, client(1), FTP, 60), 0), Forward)
    assert isinstance(director.decide(tcp(client(2), DATA), 0), Pass)
