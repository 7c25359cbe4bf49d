"""Our director does with IPv6 what kernel IPVS did: oracle/ipv6_frames.py."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from director.control.handler import RequestHandler
from director.core.director import Director
from director.engines.scapy.fake import FakeHost, FakeKernel, FakeWire
from director.engines.scapy.host import Route
from director.engines.scapy.next_hops import NextHop
from director.ipvsadm import listing, save_format
from oracle import ipv6_frames
from oracle.ipv6_frames import CLIENTS, MACS, NEIGHBOURS, SERVERS, framed
from oracle.ipv6_packets import comparable, tcp
from tests.labs.malformed import malformed_ipv6

FRAMES = int(os.environ.get("LVS_FUZZ", "6000")) // 2
OWN = {CLIENTS: "2001:db8::1", SERVERS: "fd00::1"}


def route_to(destination: str) -> Route:
    """Everybody is on a link."""
    if ":" not in destination:
        return Route(SERVERS, "192.0.2.1", "0.0.0.0")
    side = SERVERS if destination.startswith("fd00:") else CLIENTS
    return Route(side, OWN[side], "::")


class Ours:
    def __init__(self) -> None:
        wires = {side: FakeWire(side, mac, "0.0.0.0") for side, mac in MACS.items()}
        own = [address.partition("/")[0] for side in wires for address in ipv6_frames.ADDRESSES[side]]
        self.host = FakeHost(list(wires.values()), route_to, FakeKernel(own), now=1000.0)
        engine = self.host.engine
        self.director = Director(scheduler="wlc", mtu_of=engine.mtu_of, is_local=engine.is_local)
        self.host.start(self.director)
        for address in (ipv6_frames.CLIENT, "2001:db8:1::9", "fd00::2", "fd00::3", "fd00::9", "192.0.2.3"):
            route = route_to(address)
            hop = NextHop(wires[route.interface], route.source, address)
            self.host.neighbours.add_permanent(hop, NEIGHBOURS[route.interface])
        self.handler = RequestHandler(self.director, engine, lambda: self.host.now, {"engine": "scapy"})
        commands = [command for line in ipv6_frames.lines() for command in save_format.read(line)]
        assert self.handler({"do": "apply", "commands": commands}) == {"ok": True}

    def answers(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """What comes out of everything that is sent."""
        for probe in ipv6_frames.sent():
            self.host.wait(1)  # a director may send one ICMP error a second to an address
            out: list[tuple[str, bytes]] = []
            for packet in probe.packets:
                out += self.host.receive(probe.side, framed(probe.side, packet))
            yield probe.name, [(side, comparable(frame).hex()) for side, frame in out]


@pytest.fixture(scope="module")
def recording() -> dict[str, Any]:
    return ipv6_frames.read()


# differs: impossible-headers
# differs: ragged-fragments
def test_the_director_answers_as_the_kernel_did(recording: dict[str, Any]) -> None:
    ours = Ours()
    answers = list(ours.answers())
    kernels = [
        (
            exchange["name"],
            [(side, comparable(bytes.fromhex(frame)).hex()) for side, frame in exchange["out"]],
        )
        for exchange in recording["frames"]
    ]
    assert recording["player"] == ipv6_frames.player(), "out of date: ./inv vm-test --record"
    assert len(kernels) >= 100
    listed = {probe.name: probe.differs for probe in ipv6_frames.sent()}
    different, shown = [], set()
    for (named, out), (name, was) in zip(answers, kernels, strict=False):
        assert named == name
        if out != was and listed[name]:
            shown.add(listed[name])
        elif out != was:
            different.append(f"{name}: the kernel {was}, ours {out}")
    assert not different, "\n".join(different)
    assert shown == {"impossible-headers", "ragged-fragments"}  # and no listed difference is gone
    chosen = sorted(
        [row["client"], int(row["vip"].rpartition(":")[2]), row["server"].rpartition(":")[0].strip("[]")]
        for row in ours.director.listing(ours.host.now)
        if row["protocol"] == "TCP"
    )
    assert len(recording["connections"]) == 6 * 48
    assert [row for row in chosen if row[1] < 86] == recording["connections"]


def test_the_rules_are_listed_and_saved_as_by_the_kernels_tool(recording: dict[str, Any]) -> None:
    services = Ours().handler({"do": "list"})["services"]
    assert save_format.text(services, numeric=True) == recording["saved"]
    assert listing.rules(services, {"n": None}) == recording["listed"].partition("\n")[2]


@pytest.mark.parametrize("seed", [1999, random.randrange(2**32)], ids=["always", "chance"])
def test_malformed_frames_of_ipv6_do_not_stop_the_engine(seed: int) -> None:
    """LVS_FUZZ=1000000 in the environment tries that many; of errors too, which quote anything."""
    print(f"seed {seed}")  # pytest shows it when this fails
    chance, ours = random.Random(seed), Ours()
    steady = framed(CLIENTS, tcp("2001:db8:1::65", ipv6_frames.VIP, 4000, 91, 0x02))
    assert len(ours.host.receive(CLIENTS, steady)) == 1
    samples = [
        (probe.side, framed(probe.side, packet)) for probe in ipv6_frames.sent() for packet in probe.packets
    ]
    samples = samples[: -48 * 6 + 9]
    for number in range(FRAMES):
        side, frame = chance.choice(samples)
        ours.host.receive(side, malformed_ipv6(frame, chance))
        if number % 500 == 0:
            ours.host.forget()
            ours.host.wait(1)
            assert len(ours.host.receive(CLIENTS, steady)) == 1
    counted = ours.host.engine.counters()
    assert counted["failed"] == 0
    assert min(counted["malformed"], counted["out"]) > 10
