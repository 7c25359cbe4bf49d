"""What counts as a difference, and how a scenario that shows one is shrunk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from oracle import recordings
from oracle.compare import Difference, differences, shrunk
from oracle.in_process import InProcessDirector
from oracle.play import Answer, Entry, play
from oracle.replay import find
from oracle.scenario import Scenario
from oracle.site import Place

LINES = ("ipvsadm -A -t VIP:80 -s rr", "ipvsadm -a -t VIP:80 -r RS1:80 HOW", "c1 S", "s1 SA", "c1 A", "c2 S")
SCENARIO = Scenario("test", "nat", LINES)


def answers(method: str = "nat") -> list[Answer]:
    return play(replace(SCENARIO, method=method), Place(1), InProcessDirector(method))


def found(changed: list[Answer]) -> list[Difference]:
    return list(differences(SCENARIO, answers(), changed))


def test_equal_answers_do_not_differ() -> None:
    assert not found(answers())


@pytest.mark.parametrize("at", [20, 33, 34, 40, 54])
def test_one_bit_of_a_packet_is_a_difference(at: int) -> None:
    changed = answers()
    side, frame = changed[1].out[0]
    other = frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :] if at < len(frame) else frame + b"\1"
    changed[1] = replace(changed[1], out=((side, other),))
    assert [difference.what for difference in found(changed)] == ["packets"]


def test_an_extra_or_missing_packet_is_a_difference() -> None:
    for out in ((), answers()[1].out * 2):
        changed = answers()
        changed[1] = replace(changed[1], out=out)
        assert [(difference.place, difference.what) for difference in found(changed)] == [(1, "packets")]


@pytest.mark.parametrize(
    ("entry", "differs"),
    [
        (Entry("172.16.0.11:80", "SYN_RECV", 59), False),
        (Entry("172.16.0.11:80", "SYN_RECV", 50), True),
        (Entry("172.16.0.12:80", "SYN_RECV", 60), True),
        (Entry("172.16.0.11:80", "ESTABLISHED", 60), True),
        (None, True),
    ],
)
def test_a_different_state_is_a_difference(entry: Entry | None, differs: bool) -> None:
    changed = answers()
    (name,) = changed[1].connections
    changed[1] = replace(changed[1], connections={name: entry})
    assert bool(found(changed)) is differs


@pytest.mark.parametrize(("kernels", "differs"), [(66, False), (71, True), (57, True)])
def test_our_timers_may_have_run_down_by_as_much_as_the_run_took(kernels: int, differs: bool) -> None:
    changed = answers()
    (name,) = changed[1].connections
    changed[1] = replace(changed[1], connections={name: Entry("172.16.0.11:80", "SYN_RECV", kernels)})
    at_first = (
        difference
        for difference in differences(SCENARIO, answers(), changed, took=8)
        if difference.place == 1
    )
    assert bool(list(at_first)) is differs


def test_a_lasting_difference_is_reported_once() -> None:
    changed = [replace(answer, servers={}) for answer in answers()]
    assert len({difference.what for difference in found(changed)}) == len(found(changed))


def test_the_identification_of_a_tunnel_packet_is_not_compared() -> None:
    ours, theirs = answers("tun"), answers("tun")
    side, frame = theirs[1].out[0]
    theirs[1] = replace(
        theirs[1], out=((side, frame[:18] + b"\x12\x34" + frame[20:24] + b"\0\0" + frame[26:]),)
    )
    assert not list(differences(replace(SCENARIO, method="tun"), ours, theirs))


def test_a_scenario_is_shrunk() -> None:
    long = replace(SCENARIO, lines=(*LINES, *(f"c{n} S" for n in range(3, 40)), "c40 R", "c41 S"))
    short = shrunk(long, lambda candidate: "c40 R" in candidate.lines and LINES[0] in candidate.lines)
    assert short.lines == (LINES[0], "c40 R")


def test_scenarios_are_found_by_their_names() -> None:
    assert find("wlc 1999/3 (nat)")[0].name == "wlc 1999/3"
    assert find("rr 7/0 (dr)")[0].method == "dr"
    assert find("states: A server that refuses (tun)")[0].method == "tun"
    for wrong in ("", "wlc 1999/3", "no such thing (nat)", "wlc 1999/3 (all)"):
        with pytest.raises(LookupError):
            find(wrong)


def test_a_recording_survives_writing_and_reading(tmp_path: Path) -> None:
    file = tmp_path / "one.json.xz"
    recordings.write(file, [recordings.Recorded(SCENARIO, Place(1), answers())])
    (back,) = recordings.read(file)
    assert (back.scenario, back.place, back.answers) == (SCENARIO, Place(1), answers())
