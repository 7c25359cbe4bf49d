"""ICMP errors about what went into a tunnel reach the client, as if there was none."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.decision import Answer, Decision, Local, Method
from director.core.director import Director
from director.core.packet import ICMP, IPIP, TCP, Endpoint, Packet
from tests.unit.director.core.support import WEB, client, direct, tcp

ROUTER, DIRECTOR, SERVER = Endpoint("192.0.2.254", 0), Endpoint("203.0.113.2", 0), Endpoint("203.0.113.11", 0)


def error(inner: Packet | None, kind: int = 3, code: int = 4, mtu: int = 1400, **more: Any) -> Packet:
    outer = Packet(IPIP, DIRECTOR, SERVER, 1500, embedded=inner)
    return Packet(ICMP, ROUTER, DIRECTOR, 96, icmp_type=kind, icmp_code=code, mtu=mtu, embedded=outer, **more)


def decided(packet: Packet, method: Method = Method.TUN) -> Decision:
    director: Director = direct(method)
    director.decide(tcp(client(1), WEB), 0)
    return director.decide(packet, 0)


def test_too_long_is_twenty_bytes_less_for_the_client() -> None:
    answer = decided(error(Packet(TCP, client(1), WEB, 1480)))
    assert isinstance(answer, Answer)
    assert (answer.icmp_type, answer.icmp_code, answer.mtu, answer.tunnelled) == (3, 4, 1380, True)


@pytest.mark.parametrize(("kind", "code"), [(3, 1), (11, 0)])
def test_other_errors_are_passed_on(kind: int, code: int) -> None:
    answer = decided(error(Packet(TCP, client(1), WEB, 1480), kind, code, 0))
    assert isinstance(answer, Answer)
    assert (answer.icmp_type, answer.icmp_code, answer.mtu) == (kind, code, 0)


@pytest.mark.parametrize("inner", [None, Packet(TCP, client(9), WEB, 1480), Packet(TCP, WEB, client(1), 40)])
def test_about_nothing_that_is_known_it_is_the_kernels(inner: Packet | None) -> None:
    assert isinstance(decided(error(inner)), Local)


def test_a_connection_without_a_tunnel_has_no_such_errors() -> None:
    assert isinstance(decided(error(Packet(TCP, client(1), WEB, 1480)), Method.DR), Local)
