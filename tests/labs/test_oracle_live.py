"""The scenarios on real wires: a director of ours as a process, its kernel beside it, and what IPVS did.

In this process (tests/unit/oracle) the same is compared in no time; here are sockets, routes, ARP,
and the director's own kernel, which refuses what nobody serves.
"""

from __future__ import annotations

import pytest

from director import engines
from director.engines.engine import EngineError
from labs.methods import METHODS
from oracle import recordings
from oracle.compare import differences
from oracle.on_the_wire import OnTheWire

WAITS = ("ebpf", "dr")  # where time is the kernel's; with the method it has nothing to do
ABOUT_RULES = ("servers", "settings", "thresholds", "persistence: Two ports with one mark")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", engines.names())
def test_on_the_wire(engine: str, method: str) -> None:
    try:
        engines.require(engine)
    except EngineError as missing:
        pytest.skip(str(missing))
    with OnTheWire(engine) as director:
        played = 0
        for recorded in recordings.read(recordings.path(method, "written")):
            scenario = recorded.scenario
            if any(step.kind == "wait" for step in scenario.steps) and (engine, method) != WAITS:
                continue  # time goes faster in the unit tests
            if engine == "ipvs" and not scenario.name.startswith(ABOUT_RULES):
                continue  # it is the kernel that was recorded: what is left to try is how it gets its rules
            answers = director.play(scenario, recorded.place)
            found = differences(scenario, answers, recorded.answers)
            unknown = [one for one in found if not one.known]
            assert not unknown, f"{scenario.name}\n{unknown[0]}"
            played += 1
    assert played > (8 if engine == "ipvs" else 20)
