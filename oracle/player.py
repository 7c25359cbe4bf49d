"""Runs scenarios on a director between two cables: a line of JSON in, a line of JSON out.

Started as `python -m oracle.player DIRECTOR` inside `unshare --net --mount`. With "fresh",
a scenario gets a new network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from typing import Any

from oracle.kernel import Kernel
from oracle.live import Live
from oracle.on_the_wire import KERNEL
from oracle.play import play
from oracle.recordings import plain
from oracle.scenario import Scenario
from oracle.site import Place
from oracle.wire import Wires


class Stage:
    """A network with a director; a new one for a fresh scenario or another method."""

    def __init__(self, director: str) -> None:
        self._director = director
        self._method = ""
        self._made: tuple[Wires, Kernel | Live] | None = None

    def plane(self, method: str, *, fresh: bool) -> Kernel | Live:
        if fresh or method != self._method:
            self.close()
        if self._made is None:
            wires = Wires()
            kernel = self._director == KERNEL
            self._made = wires, Kernel(wires) if kernel else Live(wires, method, self._director)
            self._method = method
        return self._made[1]

    def close(self) -> None:
        if self._made is not None:
            wires, plane = self._made
            self._made = None
            plane.close()
            wires.close()


def main(director: str) -> None:
    _stay_on_one_processor()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)  # for `ip netns`
    stage = Stage(director)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_answer(stage, asked), separators=(",", ":")), flush=True)
    stage.close()


def _stay_on_one_processor() -> None:
    """Each processor has its own receive queue; only within one queue are frames in order."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _answer(stage: Stage, asked: dict[str, Any]) -> dict[str, Any]:
    scenario = Scenario(asked["name"], asked["method"], tuple(asked["lines"]))
    try:
        answers = play(scenario, Place(asked["place"]), stage.plane(scenario.method, fresh=asked["fresh"]))
    except Exception:  # noqa: BLE001 - reported to the other process, whatever it is
        return {"error": traceback.format_exc()}
    return {"answers": [plain(answer) for answer in answers]}


if __name__ == "__main__":
    main(sys.argv[1])
