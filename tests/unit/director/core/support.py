"""Packets and a director for the core's tests, with the addresses of the labs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from director.core.commands import AddServer, AddService, Command, ServiceKey
from director.core.connections import Connection
from director.core.director import Director
from director.core.packet import ACK, FIN, RST, SYN, TCP, Endpoint, Packet
from director.core.real_server import Method
from director.core.transaction import Transaction, exhaust

CIP, VIP = "198.51.100.101", "203.0.113.1"
WEB, FTP = Endpoint(VIP, 80), Endpoint(VIP, 21)
RS1, RS2, RS3 = Endpoint("172.16.0.2", 80), Endpoint("172.16.0.3", 8000), Endpoint("172.16.0.4", 80)
FTP2 = Endpoint("172.16.0.3", 21)

__all__ = ["ACK", "FIN", "RST", "SYN"]


def rules(service: Endpoint, *servers: tuple[Endpoint, int]) -> list[Command]:
    """Commands for a service with its servers; the last one added is the first in the director's list."""
    key = ServiceKey(TCP, service)
    return [AddService(key, exist_ok=True), *(AddServer(key, at, weight) for at, weight in servers)]


def published(**options: Any) -> Director:
    """A VS-NAT director with the published example's rules."""
    director = Director(**options)
    director.apply([*rules(WEB, (RS1, 1), (RS2, 2)), *rules(FTP, (FTP2, 1))], 0.0)
    return director


def direct(method: Method = Method.DR, **options: Any) -> Director:
    """A director whose two servers have the VIP themselves, for http and ftp."""
    director = Director(method=method, **options)
    for service in (WEB, FTP):
        servers = [(Endpoint(f"203.0.113.{n}", service.port), 1) for n in (12, 11)]
        director.apply(rules(service, *servers), 0.0)
    return director


def activated(director: Director, commands: Sequence[Command]) -> Transaction:
    """A change of the rules that is in force, and can still be finished or rolled back."""
    transaction = director.transaction()
    exhaust(transaction.write(commands))
    director.activate(transaction)
    return transaction


def entry(director: Director, client: Endpoint, vip: Endpoint, protocol: int = TCP) -> Connection:
    """The director's table entry for a client's endpoint."""
    found = director.connections.find_in(protocol, client, vip)
    assert found is not None
    return found


def tcp(source: Endpoint, destination: Endpoint, flags: int = SYN, **more: Any) -> Packet:
    more.setdefault("length", 40 + len(more.get("payload", b"")))
    return Packet(TCP, source, destination, flags=flags, **more)


def client(port: int, address: str = CIP) -> Endpoint:
    return Endpoint(address, port)
