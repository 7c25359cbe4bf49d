"""What one packet costs the Scapy engine: PYTHONPATH=. .venv/bin/python tests/bench/engine_cost.py

Plain timing of the steps between the two system calls; it asserts nothing.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.decision import Forward, Method
from director.core.director import Director
from director.core.packet import TCP as TCP_PROTOCOL
from director.core.packet import Endpoint
from director.engines.scapy import dr, nat, tun
from director.engines.scapy.datagram import Datagram
from director.engines.scapy.layers import IP, TCP
from director.engines.scapy.parse import parse

ROUNDS = 3000
VIP, RIP = Endpoint("203.0.113.1", 80), "172.16.0.2"
REWRITE = {Method.NAT: nat.rewrite, Method.TUN: tun.rewrite, Method.DR: dr.rewrite}


def data(flags: str = "A", size: int = 1400) -> bytes:
    options = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
    tcp = TCP(sport=40000, dport=80, flags=flags, seq=1000, ack=1, options=options)
    return bytes(IP(src="198.51.100.101", dst=VIP.address, flags="DF") / tcp / (b"x" * size))


def director(method: Method) -> Director:
    made = Director(method=method)
    key = ServiceKey(TCP_PROTOCOL, VIP)
    made.apply([AddService(key), AddServer(key, Endpoint(RIP, 80))], 0.0)
    made.decide(parse(Datagram(data("S", 0))), 1.0)
    return made


def median(step: Callable[[], object]) -> float:
    """Microseconds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6


def whole(method: Method) -> Callable[[], bytes]:
    made, packet, rewrite = director(method), data(), REWRITE[method]

    def step() -> bytes:
        datagram = Datagram(packet)
        decision = made.decide(parse(datagram), 2.0)
        assert isinstance(decision, Forward)
        return rewrite(datagram, decision, "192.0.2.1")

    return step


def main() -> None:
    packet = data()
    datagram = Datagram(packet)
    parsed, made = parse(datagram), director(Method.NAT)
    steps = {
        "dissect": lambda: Datagram(packet),
        "parse": lambda: parse(datagram),
        "decide": lambda: made.decide(parsed, 2.0),
        **{f"all, {method.name}": whole(method) for method in REWRITE},
    }
    for name, step in steps.items():
        sys.stdout.write(f"{name:10} {median(step):7.1f} us\n")


if __name__ == "__main__":
    main()
