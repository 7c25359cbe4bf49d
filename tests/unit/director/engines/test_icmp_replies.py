"""How often the director sends ICMP errors."""

from __future__ import annotations

from director.core.commands import DeleteServer, ServiceKey
from director.core.packet import Endpoint
from director.engines.scapy import icmp_replies
from director.engines.scapy.icmp_replies import RateLimit
from tests.unit.director.engines.support import SERVER, VIP, Running
from tests.unit.director.engines.test_rewrite import request


def allowed(limit: RateLimit, addresses: list[str], now: float) -> int:
    return sum(limit.allow(address, now) for address in addresses)


def test_one_address_gets_six_errors_at_once_then_one_a_second() -> None:
    limit = RateLimit()
    assert allowed(limit, ["192.0.2.1"] * 20, 10.0) == 6
    assert allowed(limit, ["192.0.2.1"] * 20, 11.0) == 1
    assert allowed(limit, ["192.0.2.1"] * 20, 100.0) == 6


def test_all_addresses_together_get_fifty_at_once() -> None:
    limit = RateLimit()
    many = [f"192.0.2.{host}" for host in range(200)]
    assert allowed(limit, many, 10.0) == 50
    assert allowed(limit, many, 10.02) in (19, 20)


def test_the_memory_of_addresses_is_bounded() -> None:
    limit = RateLimit()
    allowed(
        limit, [f"10.0.{number // 250}.{number % 250}" for number in range(3 * icmp_replies._ADDRESSES)], 1.0
    )
    assert len(limit._by_address) == icmp_replies._ADDRESSES


def test_a_flood_is_answered_six_times(nat: Running) -> None:
    nat.director.apply([DeleteServer(ServiceKey(6, Endpoint(VIP, 80)), Endpoint(SERVER, 8000))], 1.0)
    frames = [frame for _ in range(50) for frame in nat.receive(request("S"))]
    assert len(frames) == 6
