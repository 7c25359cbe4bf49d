"""Kernel IPVS, run again: the recordings still hold, and the director does the same in new scenarios.

vm/runner.py sets the environment: LVS_CHANGED names batches in which something has changed; LVS_RECORD is a
folder for new recordings (of all scenarios if LVS_FORCE is set, else of what has changed); LVS_MORE
scenarios per method and scheduler are generated with LVS_SEED.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from labs.methods import METHODS
from oracle import generate, recordings
from oracle.compare import Difference, differences
from oracle.on_the_wire import PlayerProcess
from oracle.play import Answer
from oracle.recordings import Batch, Recorded
from oracle.replay import shortest, unknown
from oracle.scenario import Scenario
from oracle.site import PLACES, Place
from tests.labs.test_oracle_live import ATTEMPTS, SHORTEST_TIMEOUT

NEWLY = 8  # scenarios in one network: its tables grow, and take longer to read
CHANGED = set(os.environ.get("LVS_CHANGED", "").split(","))
RECORD = os.environ.get("LVS_RECORD")
# Run before the rest, like the hand-written scenarios and all other tests: for each method, one of the
# schedulers with the most to decide.
CORE = {"nat-wlc", "tun-mh", "dr-lblcr"}


def batches() -> Iterator[Any]:
    """All, marked with their order; when recording, only those in which something has changed."""
    for batch in recordings.batches():
        changed, core = str(batch) in CHANGED, batch.kind == "written" or str(batch) in CORE
        if changed or not RECORD:
            marks = [pytest.mark.changed] * changed + [pytest.mark.rest] * (not core)
            yield pytest.param(batch, id=str(batch), marks=marks)


class Networks:
    """Runs scenarios of all batches in one network after another: to make one takes twenty programs."""

    def __init__(self, player: PlayerProcess) -> None:
        self._player = player
        self._method, self._played = "", 0

    def play(self, scenario: Scenario, place: Place, *, fresh: bool = False) -> list[Answer]:
        if fresh or scenario.method != self._method or self._played == NEWLY:
            self._method, self._played = scenario.method, 0
        self._played += 1
        return self._player.play(scenario, place, fresh=self._played == 1)


@pytest.fixture(scope="module")
def kernel() -> Iterator[PlayerProcess]:
    with PlayerProcess() as running:
        yield running


@pytest.fixture(scope="module")
def networks(kernel: PlayerProcess) -> Networks:
    return Networks(kernel)


@cache
def before(method: str, kind: str) -> dict[str, Recorded]:
    file = recordings.path(method, kind)
    return {recorded.scenario.name: recorded for recorded in recordings.read(file)} if file.exists() else {}


@pytest.mark.parametrize("batch", list(batches()))
def test_the_recording_holds(networks: Networks, batch: Batch) -> None:
    if RECORD:
        record(networks, batch, Path(RECORD))
        return
    for scenario, place in recordings.in_batch(batch):
        then = before(batch.method, batch.kind).get(scenario.name)
        assert then, f"{scenario.name} is new: ./inv vm-test --record"
        same = (then.scenario, then.place) == (scenario, place)
        assert same, f"{scenario.name} has changed: ./inv vm-test --record"
        different = compared(networks, then)
        assert not different, f"{scenario.name} (ours: now; kernel: recorded)\n{different[0]}"


def compared(networks: Networks, then: Recorded) -> list[Difference]:
    """Differences from what was recorded. Timers are real here: a run so slow that entries expire in it is
    repeated, and cannot fail; any other is repeated once.
    """
    name = then.scenario.name
    for attempt in range(ATTEMPTS):
        began = time.monotonic()
        now = networks.play(then.scenario, then.place, fresh=attempt > 0)
        took = time.monotonic() - began
        slow = took >= SHORTEST_TIMEOUT
        different = list(differences(then.scenario, now, then.answers, took if slow else 0))
        if not different or (attempt and not slow):
            return different
        warnings.warn(f"{name}: differs, after {took:.0f} s; run again in a new network", stacklevel=1)
    warnings.warn(f"not compared, too slow ({took:.0f} s): {name}", stacklevel=1)
    return []


def record(networks: Networks, batch: Batch, folder: Path) -> None:
    """Run what has changed; answers that are the same as before are kept, with a new fingerprint."""
    made = recordings.made_now()
    done: list[Recorded] = []
    for scenario, place in recordings.in_batch(batch):
        then = before(batch.method, batch.kind).get(scenario.name)
        if recordings.holds(then, scenario, place, made) and not os.environ.get("LVS_FORCE"):
            continue
        answers = networks.play(scenario, place)
        if then and (then.scenario, then.place) == (scenario, place):
            if list(differences(scenario, answers, then.answers)):
                answers = networks.play(scenario, place, fresh=True)  # a slow machine may have been late
            if not list(differences(scenario, answers, then.answers)):
                answers = then.answers
        done.append(Recorded(scenario, place, answers, made))
    recordings.write(folder / f"{batch.method}-{batch.kind}-{batch.name}.json.xz", done)


@pytest.mark.parametrize("method", METHODS)
def test_more_of_them(kernel: PlayerProcess, method: str) -> None:
    more, seed = int(os.environ.get("LVS_MORE", 0)), int(os.environ.get("LVS_SEED", generate.SEED + 1))
    if not more:
        pytest.skip("more scenarios were not asked for: ./inv vm-test --more 5 --seed 7")
    print(f"seed {seed}")
    for number, scenario in enumerate(generate.standard(method, seed, more)):
        place = Place(number % PLACES)
        if unknown(scenario, place, kernel, fresh=number % NEWLY == 0):
            found = shortest(scenario, place, kernel)
            shown = (
                "\n".join(map(str, (*found[0].lines, found[1])))
                if found
                else "not seen again in a new network"
            )
            pytest.fail(f"./inv vm-test --replay '{scenario.name} ({method})'\n{shown}")
