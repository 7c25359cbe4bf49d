"""The local node: a real server that is the director itself."""

from __future__ import annotations

import pytest

from director.core.commands import AddServer, AddService, DeleteServer, EditServer, ServiceKey
from director.core.decision import Forward, Pass
from director.core.director import Director
from director.core.errors import BadValue
from director.core.packet import ACK, FIN, ICMP, SYN, TCP, Endpoint, Packet
from director.core.real_server import Method
from tests.unit.director.core.support import CIP, VIP, WEB, client, entry, tcp

KEY = ServiceKey(TCP, WEB)
OWN, OTHER = Endpoint("203.0.113.2", 80), Endpoint("203.0.113.11", 80)


def local(method: Method = Method.DR, **options: object) -> Director:
    director = Director(
        method=method,
        scheduler="rr",
        is_local=lambda address: address in (OWN.address, "127.0.0.1"),
        **options,  # type: ignore[arg-type]
    )
    director.apply([AddService(KEY), AddServer(KEY, OTHER), AddServer(KEY, OWN)], 0)
    return director


def forward(director: Director, packet: Packet) -> Forward:
    decision = director.decide(packet, 0)
    assert isinstance(decision, Forward)
    return decision


@pytest.mark.parametrize("method", [Method.NAT, Method.TUN, Method.DR])
def test_it_gets_packets_as_they_are_in_every_method(method: Method) -> None:
    director = local(method)
    first, second = (forward(director, tcp(client(port), WEB)) for port in (1, 2))
    assert (first.method, first.source, first.destination) == (Method.LOCAL, client(1), WEB)
    assert second.method is method
    (service,) = director.rules
    assert [one.as_dict()["method"] for one in service.servers] == [method.value] * 2


def test_whatever_was_asked_for() -> None:
    """It is listed and saved, as in the kernel, and it is what an edit leaves alone."""
    director = local()
    director.apply([EditServer(KEY, OWN, method=Method.TUN), EditServer(KEY, OTHER, method=Method.NAT)], 0)
    director.apply([EditServer(KEY, OWN, weight=7)], 0)
    (service,) = director.rules
    assert [one.method for one in service.servers] == [Method.LOCAL, Method.NAT]
    assert [one.as_dict()["method"] for one in service.servers] == ["Tunnel", "Masq"]


@pytest.mark.parametrize(
    "packet", [tcp(client(1), WEB, ttl=1), tcp(client(1), WEB, length=9000, dont_fragment=True)]
)
def test_there_is_no_way_to_be_too_long_for(packet: Packet) -> None:
    assert forward(local(), packet).method is Method.LOCAL


def test_the_director_sees_the_clients_half() -> None:
    director = local(Method.NAT)
    forward(director, tcp(client(1), WEB))
    connection = entry(director, client(1), WEB)
    seen = []
    for flags in (ACK, FIN | ACK):
        director.decide(tcp(client(1), WEB, flags), 0)
        seen.append(connection.state.value)
    assert seen == ["ESTABLISHED", "FIN_WAIT"]


@pytest.mark.parametrize("method", [Method.TUN, Method.DR])
def test_its_port_is_the_services(method: Method) -> None:
    with pytest.raises(BadValue, match="only VS-NAT changes it"):
        local(method).apply([AddServer(KEY, Endpoint("127.0.0.1", 8080))], 0)


def test_in_vs_nat_it_may_have_a_port_of_its_own() -> None:
    """The packet stays as it is: the engine leads it to that port."""
    director = local(Method.NAT)
    director.apply([DeleteServer(KEY, OWN), DeleteServer(KEY, OTHER)], 0)
    director.apply([AddServer(KEY, Endpoint(OWN.address, 8080))], 0)
    decision = forward(director, tcp(client(1), WEB))
    assert (decision.method, decision.destination) == (Method.LOCAL, WEB)
    assert entry(director, client(1), WEB).server_endpoint == Endpoint(OWN.address, 8080)


def test_an_icmp_error_about_its_reply_is_its_own() -> None:
    director = local()
    forward(director, tcp(client(1), WEB))
    about = Packet(TCP, WEB, client(1), 40)
    error = Packet(ICMP, Endpoint(CIP, 0), Endpoint(VIP, 0), 68, icmp_type=3, icmp_code=1, embedded=about)
    assert isinstance(director.decide(error, 0), Pass)


def test_a_second_syn_finds_it_again() -> None:
    director = local()
    assert forward(director, tcp(client(1), WEB)).method is Method.LOCAL
    assert forward(director, tcp(client(1), WEB, SYN)).method is Method.LOCAL
