"""What one packet costs the Scapy engine between its two system calls, for each method.

`whole` is all of it; the other rows are its steps, and what a full dissect and rebuild by Scapy
would cost instead.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import IP, TCP

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.decision import Forward
from director.core.director import Director
from director.core.packet import TCP as TCP_PROTOCOL
from director.core.packet import Endpoint
from director.core.real_server import Method
from director.engines.scapy.datagram import Datagram, parse
from director.engines.scapy.rewrite import METHODS

Benchmark = Callable[..., object]
VIP, RIP = Endpoint("203.0.113.1", 80), "172.16.0.2"
OPTIONS = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]


def data(flags: str = "A", size: int = 1400) -> bytes:
    tcp = TCP(sport=40000, dport=80, flags=flags, seq=1000, ack=1, options=OPTIONS)
    return bytes(IP(src="198.51.100.101", dst=VIP.address, flags="DF") / tcp / (b"x" * size))


def forwarding(method: Method) -> tuple[Director, bytes]:
    """A director with one connection, and a packet of it."""
    made = Director(method=method)
    key = ServiceKey(TCP_PROTOCOL, VIP)
    made.apply([AddService(key), AddServer(key, Endpoint(RIP, 80))], 0.0)
    made.decide(parse(Datagram(data("S", 0))), 1.0)
    return made, data()


@pytest.mark.benchmark(group="the engine, a packet of 1,452 bytes")
@pytest.mark.parametrize("method", list(METHODS), ids=lambda method: f"whole, VS-{method.name}")
def test_whole(benchmark: Benchmark, method: Method) -> None:
    made, packet = forwarding(method)

    def step() -> bytes:
        datagram = Datagram(packet)
        decision = made.decide(parse(datagram), 2.0)
        assert isinstance(decision, Forward)
        return METHODS[method](datagram, decision, "192.0.2.1")

    benchmark(step)


@pytest.mark.benchmark(group="the engine, its steps (VS-NAT)")
def test_dissect(benchmark: Benchmark) -> None:
    benchmark(Datagram, data())


@pytest.mark.benchmark(group="the engine, its steps (VS-NAT)")
def test_parse(benchmark: Benchmark) -> None:
    benchmark(parse, Datagram(data()))


@pytest.mark.benchmark(group="the engine, its steps (VS-NAT)")
def test_decide(benchmark: Benchmark) -> None:
    made, packet = forwarding(Method.NAT)
    benchmark(made.decide, parse(Datagram(packet)), 2.0)


@pytest.mark.benchmark(group="the engine, its steps (VS-NAT)")
def test_serialize(benchmark: Benchmark) -> None:
    benchmark(bytes, Datagram(data()))


@pytest.mark.benchmark(group="the engine, its steps (VS-NAT)")
def test_full_dissect_and_rebuild_for_comparison(benchmark: Benchmark) -> None:
    packet = data()

    def step() -> bytes:
        whole = IP(packet)
        whole.dst, whole[TCP].dport = RIP, 8000
        whole.ttl -= 1
        del whole.chksum, whole[TCP].chksum
        return bytes(whole)

    benchmark(step)
