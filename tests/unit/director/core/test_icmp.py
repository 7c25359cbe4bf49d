"""ICMP errors: those about a tunnel reach the client as if there were none; all are counted."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.commands import AddServer, AddService, DeleteServer, ServiceKey
from director.core.decision import Decision, Drop, Forward, Pass, Reject
from director.core.director import Director
from director.core.family import IPV4
from director.core.packet import ICMP, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from tests.unit.director.core.support import CIP, VIP, WEB, client, direct, tcp

ROUTER, DIRECTOR, SERVER = Endpoint("192.0.2.254", 0), Endpoint("203.0.113.2", 0), Endpoint("203.0.113.11", 0)


def error(inner: Packet | None, kind: int = 3, code: int = 4, mtu: int = 1400, **more: Any) -> Packet:
    outer = Packet(IPV4.encapsulated, DIRECTOR, SERVER, 1500, embedded=inner)
    return Packet(ICMP, ROUTER, DIRECTOR, 96, icmp_type=kind, icmp_code=code, mtu=mtu, embedded=outer, **more)


def decided(packet: Packet, method: Method = Method.TUN) -> Decision:
    director: Director = direct(method)
    director.decide(tcp(client(1), WEB), 0)
    return director.decide(packet, 0)


def test_the_client_gets_an_mtu_20_bytes_lower() -> None:
    answer = decided(error(Packet(TCP, client(1), WEB, 1480, dont_fragment=True)))
    assert isinstance(answer, Reject)
    assert (answer.icmp_type, answer.icmp_code, answer.mtu, answer.tunnelled) == (3, 4, 1380, True)
    assert answer.path_mtu == (SERVER.address, 1400)


@pytest.mark.parametrize("mtu", [0, 68, 551])
def test_the_path_mtu_is_never_below_552_bytes(mtu: int) -> None:
    answer = decided(error(Packet(TCP, client(1), WEB, 1480, dont_fragment=True), mtu=mtu))
    assert isinstance(answer, Reject)
    assert (answer.mtu, answer.path_mtu) == (532, (SERVER.address, 552))


def test_without_df_the_sender_gets_no_error() -> None:
    decision = decided(error(Packet(TCP, client(1), WEB, 1480)))
    assert isinstance(decision, Drop)
    assert decision.path_mtu == (SERVER.address, 1400)


def test_an_error_about_a_tunnel_to_another_server_is_ignored() -> None:
    other = Packet(IPV4.encapsulated, DIRECTOR, ROUTER, 1500, embedded=Packet(TCP, client(1), WEB, 1480))
    ends = ROUTER, DIRECTOR
    forged = Packet(ICMP, *ends, 96, icmp_type=3, icmp_code=4, mtu=600, embedded=other)
    assert isinstance(decided(forged), Pass)


def test_a_forged_error_without_a_connection_is_ignored() -> None:
    decision = decided(error(None, mtu=68))
    assert isinstance(decision, Pass)


@pytest.mark.parametrize(("kind", "code"), [(3, 1), (11, 0)])
def test_other_errors_are_relayed(kind: int, code: int) -> None:
    answer = decided(error(Packet(TCP, client(1), WEB, 1480), kind, code, 0))
    assert isinstance(answer, Reject)
    assert (answer.icmp_type, answer.icmp_code, answer.mtu) == (kind, code, 0)


@pytest.mark.parametrize("inner", [None, Packet(TCP, client(9), WEB, 1480), Packet(TCP, WEB, client(1), 40)])
def test_an_error_about_an_unknown_tunnel_is_passed(inner: Packet | None) -> None:
    assert isinstance(decided(error(inner)), Pass)


def test_without_vs_tun_tunnel_errors_are_passed() -> None:
    assert isinstance(decided(error(Packet(TCP, client(1), WEB, 1480)), Method.DR), Pass)


# ---- what is counted ----

KEY, DNS, NAME_SERVER = ServiceKey(UDP, Endpoint(VIP, 53)), Endpoint(VIP, 53), Endpoint("172.16.0.2", 53)


def counted(director: Director) -> list[tuple[int, ...]]:
    """Packets and bytes in, packets and bytes out: of the service, and of its servers."""
    (service,) = director.rules
    return [
        (owner.stats.packets_in, owner.stats.bytes_in, owner.stats.packets_out, owner.stats.bytes_out)
        for owner in (service, *service.servers)
    ]


def asked(method: Method = Method.NAT, **options: Any) -> Director:
    """A director that has forwarded a datagram."""
    director = Director(method=method, **options)
    director.apply([AddService(KEY), AddServer(KEY, NAME_SERVER)], 0)
    assert isinstance(director.decide(Packet(UDP, client(1), DNS, 68), 0), Forward)
    return director


def about_request(ttl: int = 64) -> Packet:
    quoted = Packet(UDP, client(1), NAME_SERVER, 68)
    ends = Endpoint(NAME_SERVER.address, 0), Endpoint(CIP, 0)
    return Packet(ICMP, *ends, 56, ttl, icmp_type=3, icmp_code=3, embedded=quoted)


def about_reply(ttl: int = 64) -> Packet:
    quoted = Packet(UDP, DNS, client(1), 88)
    ends = Endpoint(CIP, 0), Endpoint(VIP, 0)
    return Packet(ICMP, *ends, 56, ttl, icmp_type=3, icmp_code=3, embedded=quoted)


def test_an_error_about_a_request_is_a_packet_of_the_real_servers() -> None:
    director = asked()
    assert isinstance(director.decide(about_request(), 0), Forward)
    assert counted(director) == [(1, 68, 1, 56)] * 2


@pytest.mark.parametrize("method", [Method.NAT, Method.TUN, Method.DR])
def test_an_error_about_a_reply_is_a_packet_of_the_clients(method: Method) -> None:
    director = asked(method)
    assert isinstance(director.decide(about_reply(), 0), Forward)
    assert counted(director) == [(2, 124, 0, 0)] * 2


def test_so_is_one_about_a_reply_of_the_local_node() -> None:
    director = asked(is_local=lambda _address: True)
    assert isinstance(director.decide(about_reply(), 0), Pass)
    assert counted(director) == [(2, 124, 0, 0)] * 2


def test_an_error_is_counted_before_its_ttl_is_checked() -> None:
    director = asked()
    assert isinstance(director.decide(about_reply(ttl=1), 0), Drop)
    assert isinstance(director.decide(about_request(ttl=1), 0), Drop)
    assert counted(director) == [(2, 124, 0, 0)] * 2


def test_nothing_is_counted_for_a_server_without_a_rule() -> None:
    director = asked()
    director.apply([DeleteServer(KEY, NAME_SERVER)], 0)
    assert isinstance(director.decide(about_request(), 0), Forward)
    assert counted(director) == [(1, 68, 0, 0)]


def test_nothing_is_counted_for_an_error_about_a_tunnel() -> None:
    director = asked(Method.TUN)
    inner = Packet(UDP, client(1), DNS, 68, dont_fragment=True)
    outer = Packet(IPV4.encapsulated, DIRECTOR, Endpoint(NAME_SERVER.address, 0), 88, embedded=inner)
    packet = Packet(ICMP, ROUTER, DIRECTOR, 96, icmp_type=3, icmp_code=4, mtu=1400, embedded=outer)
    assert isinstance(director.decide(packet, 0), Reject)
    assert counted(director) == [(1, 68, 0, 0)] * 2


def test_a_dry_run_counts_nothing() -> None:
    director = asked()
    director.dry_run(about_request(), 0)
    assert counted(director) == [(1, 68, 0, 0)] * 2
