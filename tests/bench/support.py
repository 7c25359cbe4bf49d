"""Directors of any size, and packets as an engine would parse them, for the benchmarks."""

from __future__ import annotations

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.decision import Forward
from director.core.director import Director
from director.core.packet import ACK, SYN, TCP, Endpoint, Packet
from director.core.real_server import Method

VIP = "203.0.113.1"
KEY = ServiceKey(TCP, Endpoint(VIP, 80))


def packet(number: int, flags: int = SYN) -> Packet:
    """A packet of client `number`. It shares no object with others, as if parsed from the wire."""
    source = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Packet(TCP, Endpoint(source, 1024 + number % 50000), Endpoint(VIP, 80), 40, flags=flags)


def director(
    servers: int = 2,
    scheduler: str = "wrr",
    bits: int = 12,
    connections: int = 0,
    limit: int = 1 << 21,
) -> Director:
    """A VS-NAT director with that many servers and established connections."""
    made = Director(method=Method.NAT, scheduler=scheduler, conn_tab_bits=bits, conn_limit=limit)
    ends = [Endpoint(f"172.16.{number >> 8}.{number & 255}", 80) for number in range(2, servers + 2)]
    rules = [AddServer(KEY, end, weight=1 + place % 3) for place, end in enumerate(ends)]
    made.apply([AddService(KEY), *rules], 0)
    for number in range(connections):
        made.decide(packet(number), 0)
        made.decide(packet(number, ACK), 0)
    return made


def reply(made: Director, number: int) -> Packet:
    """A packet from the real server of a client's connection."""
    decision = made.decide(packet(number, ACK), 0)
    assert isinstance(decision, Forward)
    return Packet(TCP, decision.destination, decision.source, 40, flags=ACK)
