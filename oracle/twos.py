"""The scheduler twos is random: does the kernel choose servers with the same probabilities as ours?

A scenario opens several hundred connections. The probability of each real server, at each of them, follows
from the connections that the servers have by then. If both draw alike, a server's total differs from the sum
of its probabilities by a few standard deviations at most.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from random import Random

from director.core.packet import TCP, Endpoint, Packet
from director.core.real_server import Method, RealServer
from director.core.schedulers import Scheduler
from director.core.schedulers import twos as ours
from oracle.play import Answer, Load, merged
from oracle.scenario import Scenario
from oracle.site import Place

FILE = Path(__file__).with_name("recorded") / "twos.json.xz"
PLACE = Place(240)  # which no other scenario has
MOST = 4.5  # standard deviations: exceeded once in 150,000 trials
_CONNECTIONS, _DATAGRAMS = 200, 300
# TCP: weights, and an upper threshold. UDP with one-packet scheduling: the load is always 0, so the first of
# two draws counts, which shows how they are drawn.
_TCP = {"RS1": (1, 0), "RS2": (2, 0), "RS3": (4, 0), "RS4": (0, 0), "RS5": (3, 20)}
_UDP = {"RS1": (3, 0), "RS2": (1, 0)}
_SERVICES = {"TCP": ("-t VIP:80", "", _TCP), "UDP": ("-u VIP:53", " -o", _UDP)}
_PACKET = Packet(TCP, Endpoint("198.18.0.1", 1), Endpoint("198.19.0.1", 80), 40)

Draw = Callable[[int], int]
Servers = Mapping[str, RealServer]


def scenario() -> Scenario:
    """Half of the connections are established, so that the load differs from the number of connections."""
    return Scenario("twos", "dr", tuple(_lines(Random(1999))))


def _lines(draw: Random) -> Iterator[str]:
    for service, options, servers in _SERVICES.values():
        yield f"ipvsadm -A {service} -s twos{options}"
        for name, (weight, upper) in servers.items():
            port = service.rpartition(":")[2]
            yield f"ipvsadm -a {service} -r {name}:{port} HOW -w {weight} -x {upper}"
    for number in range(1, _CONNECTIONS + 1):
        yield f"c{number} S"
        if draw.random() < 0.5:
            yield f"c{number} A"
    for number in range(1, _DATAGRAMS + 1):
        yield f"c{1000 + number} udp to=53"


def _ours(draw: Draw) -> Scheduler:
    return ours.Scheduler(draw=draw)


def deviations(
    scenario: Scenario, answers: Sequence[Answer], make: Callable[[Draw], Scheduler] = _ours
) -> dict[str, float]:
    """By service and server: its connections minus the expected ones, in standard deviations.

    Infinite if it got a connection that it could not get. `make` creates the scheduler from its draws.
    """
    services = {name: _servers(servers) for name, (_, _, servers) in _SERVICES.items()}
    excess: dict[str, float] = defaultdict(float)
    variance: dict[str, float] = defaultdict(float)
    for step, answer in zip(merged(scenario.steps), answers, strict=True):
        if step.kind == "c" and "A" not in step.words:
            protocol = "UDP" if "udp" in step.options else "TCP"
            ((_, frame),) = answer.out
            for address, chance in _chances(services[protocol], make).items():
                got = address == f"172.16.0.{frame[5]}"  # the MAC address that oracle/site.py gives it
                name = f"{protocol} {address}"
                excess[name] += got - chance if chance or not got else math.inf
                variance[name] += chance * (1 - chance)
        for name, load in answer.servers.items():
            if load is not None:
                protocol, _, server = name.split()
                _count(services[protocol][server.partition(":")[0]], load)
    return {name: excess[name] / math.sqrt(variance[name] or 1) for name in excess}


def _servers(wanted: Mapping[str, tuple[int, int]]) -> Servers:
    """The servers by address; the last one added is the first in the service's list."""
    words = PLACE.words("dr")
    return {
        words[name]: RealServer(Endpoint(words[name], 80), weight, Method.DR, upper)
        for name, (weight, upper) in reversed(list(wanted.items()))
    }


def _count(server: RealServer, load: Load) -> None:
    """Count until the server has as many connections as the director reports."""
    while server.active < load.active and server.inactive > load.inactive:
        server.count_state_change(active=True)
    for active, wanted in ((True, load.active), (False, load.inactive)):
        while (has := server.active if active else server.inactive) != wanted:
            server.count(active=active, by=1 if has < wanted else -1)


def _chances(servers: Servers, make: Callable[[Draw], Scheduler]) -> dict[str, float]:
    """The probability of each server, from every pair of numbers that can be drawn."""
    total = sum(server.weight for server in servers.values() if server.available) + 1
    found: Counter[str] = Counter(dict.fromkeys(servers, 0))
    for draws in product(range(total), repeat=2):
        picked = make(_scripted(draws)).pick(list(servers.values()), _PACKET, 0.0)
        if picked:
            found[picked[0].address.address] += 1
    return {address: times / total**2 for address, times in found.items()}


def _scripted(draws: Sequence[int]) -> Draw:
    numbers = iter(draws)
    return lambda _: next(numbers)
