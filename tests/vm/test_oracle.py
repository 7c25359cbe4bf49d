"""Kernel IPVS, asked again: what was recorded of it still holds, and new scenarios find us doing the same.

The environment says what is asked of it, see vm/command.py: LVS_RECORD is a folder for new
recordings; LVS_MORE scenarios for each method and scheduler are made with LVS_SEED.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.methods import METHODS
from oracle import generate, recordings
from oracle.compare import differences
from oracle.on_the_wire import OnTheWire
from oracle.recordings import Recorded
from oracle.replay import shortest, unknown
from oracle.site import PLACES, Place

NEWLY = 8  # scenarios in one network: the longer its tables, the longer each look at them


@pytest.fixture(scope="module")
def kernel() -> Iterator[OnTheWire]:
    with OnTheWire() as running:
        yield running


@pytest.mark.parametrize(("method", "kind"), list(recordings.every()))
def test_the_recording_holds(kernel: OnTheWire, method: str, kind: str) -> None:
    played = [
        Recorded(scenario, place, kernel.play(scenario, place, fresh=number % NEWLY == 0))
        for number, (scenario, place) in enumerate(recordings.wanted(method, kind))
    ]
    folder = os.environ.get("LVS_RECORD")
    if folder:
        recordings.write(recordings.path(method, kind, Path(folder)), played)
        return
    before = {one.scenario.name: one for one in recordings.read(recordings.path(method, kind))}
    for now in played:
        then = before[now.scenario.name]
        assert then.scenario == now.scenario, f"{now.scenario.name} is another one: ./inv vm-test --record"
        if list(differences(now.scenario, now.answers, then.answers)):
            warnings.warn(f"{now.scenario.name}: played a second time, in a new network", stacklevel=1)
            again = kernel.play(now.scenario, now.place, fresh=True)  # a slow machine may have been late
            different = list(differences(now.scenario, again, then.answers))
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
