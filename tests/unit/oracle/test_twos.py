"""twos draws as the kernel's does: oracle/twos.py."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from director.core import schedulers
from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick, Scheduler
from oracle import recordings, twos
from oracle.in_process import InProcessDirector
from oracle.play import play
from oracle.twos import MOST, Draw, deviations, scenario


def worst(found: dict[str, float]) -> float:
    return max(map(abs, found.values()))


def test_ours_has_the_chances_that_it_claims() -> None:
    answers = play(scenario(), twos.PLACE, InProcessDirector("dr"))
    assert worst(deviations(scenario(), answers)) < MOST


def test_the_kernel_drew_as_ours_does() -> None:
    (recorded,) = recordings.read(twos.FILE)
    assert (recorded.scenario, recorded.place) == (scenario(), twos.PLACE), (
        "./inv vm-test --kernel 6.12 --record"
    )
    assert worst(deviations(scenario(), recorded.answers)) < MOST


class OneChoice:
    """Draws a single server by weight: a load balancer, but not twos."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def pick(self, servers: Sequence[RealServer], _packet: Packet, _now: float) -> Pick | None:
        available = [server for server in servers if server.available]
        number = self._draw(sum(server.weight for server in available))
        if not available:
            return None
        while number >= available[0].weight:
            number -= available.pop(0).weight
        return available[0], ""

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""


def test_another_scheduler_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one whose choices twos might have made."""
    one_choice = OneChoice(random.Random(1).randrange)

    def make(_name: str, *_: object) -> Scheduler:
        return one_choice

    monkeypatch.setattr(schedulers, "make", make)
    answers = play(scenario(), twos.PLACE, InProcessDirector("dr"))
    assert worst(deviations(scenario(), answers)) > MOST
