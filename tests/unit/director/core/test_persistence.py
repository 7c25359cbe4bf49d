"""ftp in VS-TUN and VS-DR: a client's data connections find the server of its session."""

from __future__ import annotations

import pytest

from director.core.commands import AddServer, AddService, DeleteServer, EditServer, ServiceKey
from director.core.decision import Drop, Forward, Pass
from director.core.director import Director
from director.core.packet import ACK, FIN, SYN, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from tests.unit.director.core.support import FTP, VIP, WEB, client, direct, entry, tcp

KEY = ServiceKey(TCP, FTP)
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
    """Silent for ten minutes, longer than the template's own 300 s."""
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


def test_the_answer_to_an_active_data_connection_finds_it() -> None:
    director, server = established()
    decision = director.decide(tcp(client(40000), Endpoint(VIP, 20), SYN | ACK), 0)
    assert isinstance(decision, Forward)
    assert decision.next_hop == server


def test_weight_zero_keeps_the_session() -> None:
    director, server = established()
    director.apply([EditServer(KEY, Endpoint(server, 21), weight=0)], 0)
    assert server_of(director, 2, DATA) == server
    assert server_of(director, 3, FTP) == server


def test_a_deleted_server_has_lost_its_sessions() -> None:
    director, server = established()
    director.apply([DeleteServer(KEY, Endpoint(server, 21))], 0)
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


def test_udp_on_port_21_is_no_session() -> None:
    director = Director(method=Method.DR)
    key = ServiceKey(UDP, FTP)
    director.apply([AddService(key), AddServer(key, Endpoint("203.0.113.11", 21))], 0)
    assert isinstance(director.decide(Packet(UDP, client(1), FTP, 60), 0), Forward)
    assert isinstance(director.decide(tcp(client(2), DATA), 0), Pass)
