"""One-packet scheduling (ipvsadm -o): every UDP packet is a connection of its own."""

from __future__ import annotations

import pytest

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.decision import Forward, Pass
from director.core.director import Director
from director.core.errors import BadValue
from director.core.packet import TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from tests.unit.director.core.support import VIP, client

NAMES = Endpoint(VIP, 53)
KEY = ServiceKey(UDP, NAMES)


def once(method: Method) -> Director:
    director = Director(method=method, scheduler="rr")
    servers = [AddServer(KEY, Endpoint(f"203.0.113.{host}", 53)) for host in (12, 11)]
    director.apply([AddService(KEY, one_packet=True), *servers], 0)
    return director


@pytest.mark.parametrize("method", [Method.NAT, Method.TUN, Method.DR])
def test_each_packet_is_scheduled_and_none_remembered(method: Method) -> None:
    director = once(method)
    decisions = [director.decide(Packet(UDP, client(1), NAMES, 60), 0) for _ in range(4)]
    hops = [one.next_hop for one in decisions if isinstance(one, Forward)]
    assert hops == ["203.0.113.11", "203.0.113.12"] * 2
    assert not list(director.listing(0))


def test_they_are_counted() -> None:
    director = once(Method.DR)
    for _ in range(4):
        director.decide(Packet(UDP, client(1), NAMES, 60), 0)
    (service,) = director.rules
    assert (service.stats.connections, service.stats.packets_in, service.stats.bytes_in) == (4, 4, 240)
    assert [one.stats.connections for one in service.servers] == [2, 2]
    assert [one.active + one.inactive for one in service.servers] == [0, 0]


def test_a_reply_belongs_to_nothing() -> None:
    director = once(Method.NAT)
    director.decide(Packet(UDP, client(1), NAMES, 60), 0)
    reply = Packet(UDP, Endpoint("203.0.113.11", 53), client(1), 60)
    assert isinstance(director.decide(reply, 0), Pass)


def test_it_is_not_for_tcp() -> None:
    with pytest.raises(BadValue, match="UDP"):
        Director().apply([AddService(ServiceKey(TCP, NAMES), one_packet=True)], 0)
