"""Kernel IPVS, asked again: what was recorded of it still holds, and new scenarios find us doing the same.

The environment says what is asked of it, see vm/command.py: LVS_RECORD is a folder for new
recordings; LVS_MORE scenarios for each method and scheduler are made with LVS_SEED.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from queue import Queue

import pytest

from oracle import generate, recordings
from oracle.compare import differences
from oracle.on_the_wire import OnTheWire
from oracle.recordings import Recorded
from oracle.replay import shortest, unknown
from oracle.scenario import METHODS, Scenario
from oracle.site import PLACES, Place

NEWLY = 30  # scenarios in one network: the longer its tables, the longer each look at them


Played = Future[list[Recorded]]


@pytest.fixture(scope="module")
def players() -> Iterator[Queue[OnTheWire]]:
    """As many as there are processors."""
    waiting: Queue[OnTheWire] = Queue()
    with ExitStack() as stack:
        for number in range(len(os.sched_getaffinity(0))):
            waiting.put(stack.enter_context(OnTheWire(number=number)))
        yield waiting


@pytest.fixture
def kernel(players: Queue[OnTheWire]) -> Iterator[OnTheWire]:
    player = players.get()
    yield player
    players.put(player)


@pytest.fixture(scope="module")
def played(players: Queue[OnTheWire]) -> Iterator[dict[tuple[str, str], list[Played]]]:
    """What is being played for each recording, part by part; all players play at once."""

    def play(part: Sequence[tuple[Scenario, Place]]) -> list[Recorded]:
        player = players.get()
        try:
            return [
                Recorded(scenario, place, player.play(scenario, place, fresh=not number))
                for number, (scenario, place) in enumerate(part)
            ]
        finally:
            players.put(player)

    with ThreadPoolExecutor(players.qsize()) as pool:
        yield {which: [pool.submit(play, part) for part in _parts(*which)] for which in recordings.every()}
        pool.shutdown(cancel_futures=True)


def _parts(method: str, kind: str) -> Iterator[Sequence[tuple[Scenario, Place]]]:
    wanted = recordings.wanted(method, kind)
    while part := list(islice(wanted, NEWLY)):
        yield part


@pytest.mark.parametrize(("method", "kind"), list(recordings.every()))
def test_the_recording_holds(played: dict[tuple[str, str], list[Played]], method: str, kind: str) -> None:
    all_played = [one for part in played[method, kind] for one in part.result()]
    folder = os.environ.get("LVS_RECORD")
    if folder:
        recordings.write(recordings.path(method, kind, Path(folder)), all_played)
        return
    before = {one.scenario.name: one for one in recordings.read(recordings.path(method, kind))}
    for now in all_played:
        then = before[now.scenario.name]
        assert then.scenario == now.scenario, f"{now.scenario.name} is another one: ./inv vm-test --record"
        different = list(differences(now.scenario, now.answers, then.answers))
        assert not different, f"{now.scenario.name} (ours: now; kernel: recorded)\n{different[0]}"


@pytest.mark.parametrize("method", METHODS)
def test_more_of_them(kernel: OnTheWire, method: str) -> None:
    more, seed = int(os.environ.get("LVS_MORE", 0)), int(os.environ.get("LVS_SEED", generate.SEED + 1))
    if not more:
        pytest.skip("more scenarios were not asked for: ./inv vm-test --more 5 --seed 7")
    print(f"seed {seed}")
    for number, scenario in enumerate(generate.standard(method, seed, more)):
        place = Place(number % PLACES)
        if unknown(scenario, place, kernel, fresh=number % NEWLY == 0):
            found = shortest(scenario, place, kernel)
            told = "\n".join(map(str, (*found[0].lines, found[1]))) if found else "not again in a new network"
            pytest.fail(f"./inv vm-test --replay '{scenario.name} ({method})'\n{told}")
