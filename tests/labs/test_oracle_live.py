"""The scenarios on real interfaces: our director as a process, compared with what kernel IPVS did.

The unit tests compare the same in one process and much faster; here are sockets, routes, ARP, and the
director's own kernel, which refuses connections to ports without a service.
"""

from __future__ import annotations

import os
import random
import time
import warnings

import pytest

from director import engines
from director.engines.engine import EngineError
from labs.methods import METHODS
from oracle import recordings
from oracle.compare import differences
from oracle.on_the_wire import PlayerProcess
from oracle.recordings import Recorded

WAITS = ("ebpf", "dr")  # where the kernel keeps the time; one method is enough
BY_CHANCE = int(os.environ.get("LVS_SCENARIOS", "10"))  # generated scenarios of a method in one run
ABOUT_RULES = ("servers", "settings", "thresholds", "persistence: Two ports with one mark")


SHORTEST_TIMEOUT = 10  # seconds: SYN_RECV under secure_tcp
ATTEMPTS = 3


def same_answers(director: PlayerProcess, recorded: Recorded) -> None:
    """Timers are real here: a run so slow that entries expire in it is repeated, and cannot fail.

    In a new network: the table still has what the slow run has left.
    """
    for attempt in range(ATTEMPTS):
        began = time.monotonic()
        answers = director.play(recorded.scenario, recorded.place, fresh=attempt > 0)
        took = time.monotonic() - began
        found = differences(recorded.scenario, answers, recorded.answers, took)
        unknown = [difference for difference in found if not difference.known]
        if not unknown:
            return
        assert took >= SHORTEST_TIMEOUT, f"{recorded.scenario.name}\n{unknown[0]}"
    warnings.warn(f"not compared, too slow ({took:.0f} s): {recorded.scenario.name}", stacklevel=1)


def require(engine: str) -> None:
    try:
        engines.require(engine)
    except EngineError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", engines.names())
def test_on_the_wire(engine: str, method: str) -> None:
    require(engine)
    with PlayerProcess(engine) as director:
        played = 0
        for recorded in recordings.read(recordings.path(method, "written")):
            scenario = recorded.scenario
            if any(step.kind == "wait" for step in scenario.steps) and (engine, method) != WAITS:
                continue  # the unit tests do not really wait
            if engine == "ipvs" and not scenario.name.startswith(ABOUT_RULES):
                continue  # kernel IPVS itself was recorded; what is left to test is how it gets its rules
            same_answers(director, recorded)
            played += 1
    assert played > (8 if engine == "ipvs" else 20)


@pytest.mark.parametrize("method", METHODS)
def test_ebpf_by_chance(method: str, seed: int) -> None:
    """Some of the generated scenarios; `./inv test --scenarios 100 --only by_chance` runs all of them."""
    require("ebpf")
    all_of_them = list(recordings.read(recordings.path(method, "generated")))
    chosen = random.Random(seed).sample(all_of_them, min(BY_CHANCE, len(all_of_them)))
    with PlayerProcess("ebpf") as director:
        for recorded in chosen:
            same_answers(director, recorded)
