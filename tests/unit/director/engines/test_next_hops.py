"""ARP requests, waiting packets, learnt addresses; route lookups and path MTUs."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.l2 import ARP, Ether

from director.engines.scapy import next_hops
from director.engines.scapy.fake import FakeRoutes
from director.engines.scapy.host import Route
from director.engines.scapy.next_hops import Neighbours, NextHop, Routes
from tests.unit.director.engines.support import GATEWAY, GATEWAY_MAC, MAC, OWN, fake_wire

OTHER_MAC = "02:00:00:00:00:33"


class Trial:
    def __init__(self) -> None:
        self.wire = fake_wire()
        self.hop = NextHop(self.wire, OWN, GATEWAY)
        self.permanent: dict[tuple[int, str], str] = {}
        self.neighbours = Neighbours(lambda ifindex, address: self.permanent.get((ifindex, address), ""))

    def send(self, now: float = 0.0, packet: bytes = b"packet") -> None:
        self.neighbours.send(packet, self.hop, now)

    def reply(self, mac: str = GATEWAY_MAC, now: float = 0.0, address: str = GATEWAY) -> None:
        self.neighbours.received(self.wire, ARP(op=2, psrc=address, hwsrc=mac), now)

    @property
    def requests(self) -> list[Any]:
        return [frame for frame in map(Ether, self.wire.sent) if ARP in frame]

    @property
    def packets(self) -> list[tuple[str, bytes]]:
        return [(frame.dst, bytes(frame.payload)) for frame in map(Ether, self.wire.sent) if ARP not in frame]


@pytest.fixture
def trial() -> Trial:
    return Trial()


def test_a_packet_waits_for_the_reply(trial: Trial) -> None:
    trial.send(packet=b"one")
    trial.send(packet=b"two")
    (request,) = trial.requests
    assert (request.dst, request[ARP].psrc, request[ARP].hwsrc) == ("ff:ff:ff:ff:ff:ff", OWN, MAC)
    assert (request[ARP].op, request[ARP].pdst) == (1, GATEWAY)
    assert trial.packets == []
    trial.reply()
    assert trial.packets == [(GATEWAY_MAC, b"one"), (GATEWAY_MAC, b"two")]


def test_three_requests_without_a_reply_are_the_last(trial: Trial) -> None:
    trial.send()
    for second in range(1, 6):
        trial.neighbours.tick(float(second))
    assert (len(trial.requests), trial.neighbours.lost) == (3, 1)
    trial.send(now=9.0)
    assert len(trial.requests) == 4


def test_the_queue_is_bounded(trial: Trial) -> None:
    for number in range(200):
        trial.send(packet=bytes([number]))
    trial.reply()
    assert len(trial.packets) == 128
    assert trial.packets[-1] == (GATEWAY_MAC, bytes([199]))
    assert trial.neighbours.lost == 72


def test_an_old_entry_stays_in_use_while_it_is_confirmed(trial: Trial) -> None:
    trial.send()
    trial.reply()
    trial.send(now=29.0)
    assert len(trial.requests) == 1
    trial.send(now=31.0)
    trial.send(now=31.5)
    assert len(trial.requests) == 2
    assert [mac for mac, _ in trial.packets] == [GATEWAY_MAC] * 4


def test_an_entry_that_nobody_confirms_is_forgotten(trial: Trial) -> None:
    trial.send()
    trial.reply()
    trial.neighbours.tick(600.0)
    assert trial.neighbours.mac_of(trial.hop) == GATEWAY_MAC
    trial.neighbours.tick(601.0)
    assert trial.neighbours.mac_of(trial.hop) == ""


def test_a_neighbour_in_the_kernels_table_for_good_is_not_asked(trial: Trial) -> None:
    """Nor later on, when another entry would have to be confirmed; what it was changed to is used then."""
    trial.permanent[trial.wire.index or 0, GATEWAY] = GATEWAY_MAC
    trial.send()
    trial.send(now=29.0)
    trial.permanent[trial.wire.index or 0, GATEWAY] = OTHER_MAC
    trial.send(now=31.0)
    trial.send(now=32.0)
    assert [mac for mac, _ in trial.packets] == [GATEWAY_MAC] * 3 + [OTHER_MAC]
    assert trial.requests == []


def test_the_memory_of_neighbours_is_bounded(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host on the link may answer for as many addresses as it likes; a permanent entry stays."""
    monkeypatch.setattr(next_hops, "_MAX_NEIGHBOURS", 10)
    trial.neighbours.add_permanent(trial.hop, GATEWAY_MAC)
    for number in range(50):
        hop = NextHop(trial.wire, OWN, f"203.0.113.{number + 100}")
        trial.neighbours.send(b"packet", hop, 0.0)
        trial.reply(address=hop.address)
    assert len(trial.neighbours._entries) == 10
    assert trial.neighbours.mac_of(trial.hop) == GATEWAY_MAC
    assert trial.neighbours.lost == 0


def test_an_address_that_moves_is_learnt(trial: Trial) -> None:
    trial.send()
    trial.reply()
    trial.reply(OTHER_MAC)
    trial.send()
    assert trial.packets[-1][0] == OTHER_MAC


@pytest.mark.parametrize(
    ("mac", "address"), [("ff:ff:ff:ff:ff:ff", GATEWAY), ("01:00:5e:00:00:01", GATEWAY), (OTHER_MAC, OWN)]
)
def test_group_addresses_and_strangers_are_not_learnt(trial: Trial, mac: str, address: str) -> None:
    trial.send()
    trial.reply(mac, address=address)
    assert trial.packets == []


def test_the_same_address_on_another_wire_is_another_host(trial: Trial) -> None:
    trial.send()
    trial.neighbours.received(fake_wire("d-eth1"), ARP(op=2, psrc=GATEWAY, hwsrc=GATEWAY_MAC), 0.0)
    assert trial.packets == []


# ---- routes ----


@pytest.fixture
def routes() -> Routes:
    table = {
        "198.51.100.101": Route("d-eth0", "203.0.113.2", "203.0.113.254"),
        "203.0.113.11": Route("d-eth0", "0.0.0.0", "0.0.0.0"),
        "10.0.0.1": Route("other", "10.0.0.9", "0.0.0.0"),
        "10.1.0.1": Route("d-eth0", "203.0.113.2", "203.0.113.254", mtu=1300),
        "10.2.0.1": Route("d-eth0", "203.0.113.2", "203.0.113.254", mtu=9000),
    }
    return Routes([fake_wire()], FakeRoutes(table.__getitem__))


def test_a_remote_address_is_reached_through_the_gateway(routes: Routes) -> None:
    hop = routes.lookup("198.51.100.101")
    assert hop is not None
    assert (hop.source, hop.address, hop.wire.interface) == ("203.0.113.2", "203.0.113.254", "d-eth0")


def test_an_address_on_the_link_is_its_own_next_hop(routes: Routes) -> None:
    hop = routes.lookup("203.0.113.11")
    assert hop is not None
    assert (hop.source, hop.address) == (hop.wire.address, "203.0.113.11")


def test_other_interfaces_offer_no_route(routes: Routes) -> None:
    assert routes.lookup("10.0.0.1") is None
    assert routes.mtu_of("10.0.0.1") == 1500


@pytest.mark.parametrize(("destination", "mtu"), [("10.1.0.1", 1300), ("10.2.0.1", 1500)])
def test_a_route_may_have_an_mtu_below_its_interfaces(routes: Routes, destination: str, mtu: int) -> None:
    assert routes.mtu_of(destination) == mtu
    routes.learn_mtu(destination, 1400, 0.0)
    assert routes.mtu_of(destination) == min(mtu, 1400)


@pytest.mark.parametrize(("learnt", "known"), [(1400, 1400), (9000, 1500), (20, 1500)])
def test_a_learnt_mtu_only_lowers_the_path_mtu(routes: Routes, learnt: int, known: int) -> None:
    routes.learn_mtu("203.0.113.11", learnt, 0.0)
    assert routes.mtu_of("203.0.113.11") == known
