"""Who is asked, who waits, and what is learnt."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.l2 import ARP, Ether

from director.engines.scapy.next_hops import Neighbours, NextHop
from tests.unit.director.engines.support import GATEWAY, GATEWAY_MAC, MAC, OWN, fake_wire

OTHER_MAC = "02:00:00:00:00:33"


class Trial:
    def __init__(self) -> None:
        self.wire = fake_wire()
        self.hop = NextHop(self.wire, OWN, GATEWAY)
        self.neighbours = Neighbours()

    def send(self, now: float = 0.0, packet: bytes = b"packet") -> None:
        self.neighbours.send(packet, self.hop, now)

    def hear(self, mac: str = GATEWAY_MAC, now: float = 0.0, address: str = GATEWAY) -> None:
        self.neighbours.received(self.wire, ARP(op=2, psrc=address, hwsrc=mac), now)

    @property
    def questions(self) -> list[Any]:
        return [frame for frame in map(Ether, self.wire.sent) if ARP in frame]

    @property
    def packets(self) -> list[tuple[str, bytes]]:
        return [(frame.dst, bytes(frame.payload)) for frame in map(Ether, self.wire.sent) if ARP not in frame]


@pytest.fixture
def trial() -> Trial:
    return Trial()


def test_a_packet_waits_for_the_answer(trial: Trial) -> None:
    trial.send(packet=b"one")
    trial.send(packet=b"two")
    (question,) = trial.questions
    assert (question.dst, question[ARP].psrc, question[ARP].hwsrc) == ("ff:ff:ff:ff:ff:ff", OWN, MAC)
    assert (question[ARP].op, question[ARP].pdst) == (1, GATEWAY)
    assert trial.packets == []
    trial.hear()
    assert trial.packets == [(GATEWAY_MAC, b"one"), (GATEWAY_MAC, b"two")]


def test_without_an_answer_it_asks_three_times_and_gives_up(trial: Trial) -> None:
    trial.send()
    for second in range(1, 6):
        trial.neighbours.tick(float(second))
    assert (len(trial.questions), trial.neighbours.lost) == (3, 1)
    trial.send(now=9.0)
    assert len(trial.questions) == 4


def test_only_so_many_packets_wait(trial: Trial) -> None:
    for number in range(200):
        trial.send(packet=bytes([number]))
    trial.hear()
    assert len(trial.packets) == 128
    assert trial.packets[-1] == (GATEWAY_MAC, bytes([199]))
    assert trial.neighbours.lost == 72


def test_an_old_entry_stays_in_use_while_it_is_asked_about(trial: Trial) -> None:
    trial.send()
    trial.hear()
    trial.send(now=29.0)
    assert len(trial.questions) == 1
    trial.send(now=31.0)
    trial.send(now=31.5)
    assert len(trial.questions) == 2
    assert [mac for mac, _ in trial.packets] == [GATEWAY_MAC] * 4


def test_an_address_that_moves_is_followed(trial: Trial) -> None:
    trial.send()
    trial.hear()
    trial.hear(OTHER_MAC)
    trial.send()
    assert trial.packets[-1][0] == OTHER_MAC


@pytest.mark.parametrize(
    ("mac", "address"), [("ff:ff:ff:ff:ff:ff", GATEWAY), ("01:00:5e:00:00:01", GATEWAY), (OTHER_MAC, OWN)]
)
def test_nonsense_and_strangers_are_not_learnt(trial: Trial, mac: str, address: str) -> None:
    trial.send()
    trial.hear(mac, address=address)
    assert trial.packets == []


def test_the_same_address_on_another_wire_is_somebody_else(trial: Trial) -> None:
    trial.send()
    trial.neighbours.received(fake_wire("d-eth1"), ARP(op=2, psrc=GATEWAY, hwsrc=GATEWAY_MAC), 0.0)
    assert trial.packets == []
