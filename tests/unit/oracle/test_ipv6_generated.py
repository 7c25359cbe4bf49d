"""Our director does with generated connections of IPv6 what kernel IPVS did: oracle/ipv6_generated.py."""

from __future__ import annotations

import pytest

from oracle import ipv6_generated
from oracle.in_process import IPv6InProcessDirector
from oracle.ipv6_generated import METHODS, plain, play, scenarios, unlike
from oracle.scenario import Scenario

LEAST = 2000  # connections that are left at the ends of a method's scenarios


@pytest.mark.parametrize("method", METHODS)
def test_the_director_does_what_the_kernel_did(method: str) -> None:
    director = IPv6InProcessDirector("nat")
    recorded = {scenario["name"]: scenario for scenario in ipv6_generated.read(method)["scenarios"]}
    assert list(recorded) == [scenario.name for scenario in scenarios(method)]
    different, connections = [], 0
    for place, scenario in enumerate(scenarios(method)):
        director.wait(1)  # a director may send so many ICMP errors in a second
        result = play(method, scenario, place, director)
        connections += len(result.table)
        found = unlike(recorded[scenario.name], plain(scenario, result), result.sent)
        if found:
            different.append(f"{method} {scenario.name}: {found}")
    assert not different, f"{len(different)} differ\n" + "\n".join(different[:3])
    assert connections > LEAST


def test_frames_of_two_cables_are_compared_in_one_order() -> None:
    """Which cable carried a frame first is not seen; the order on each cable is."""
    scenario = scenarios("dr")[0]
    frames = [(side, bytes([number] * 60)) for number, side in enumerate("scs")]
    result = ipv6_generated.Result([bytes(60)], [frames], {}, {})
    out = plain(scenario, result)["out"][0]
    assert [(side, frame[:2]) for side, frame in out] == [("c", "01"), ("s", "00"), ("s", "02")]


def test_what_the_sender_gets_back_has_not_reached_the_other_end() -> None:
    """Kernel IPVS's host refuses packets that ours leaves to its host: the client must not answer a reset."""
    method, place = "nat", 0
    lines = ("c1 S at=1", "c1 icmp=1/4")
    for answers in (True, False):
        sent = play(method, Scenario("refused", method, lines), place, _Host(answers=answers)).sent
        assert len(sent) == 1


class _Host:
    """Forwards nothing; answers every packet with a copy of it, or not at all."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    def rules(self, lines: object) -> None: ...

    def exchange(self, frame: tuple[str, bytes]) -> list[tuple[str, bytes]]:
        return [frame] if self._answers else []

    def tables(self, at: str) -> tuple[dict[str, list[str]], dict[str, list[int]]]:  # noqa: ARG002
        return {}, {}
