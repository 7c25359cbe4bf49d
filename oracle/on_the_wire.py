"""A director between two cables, as somebody to ask: what does it do with this scenario?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from oracle.play import Answer
from oracle.recordings import answer
from oracle.scenario import Scenario
from oracle.site import Place

KERNEL = "kernel"  # kernel IPVS, administered by the real ipvsadm
_ROOT = Path(__file__).resolve().parent.parent
_NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


class PlayerError(Exception):
    """The director could not be asked; the text says why."""


class PlayerProcess:
    """`director` is KERNEL, or the engine that a director of ours has. A context manager.

    One at a time: kernel IPVS has one list for all networks, and to read it takes quiet.
    """

    def __init__(self, director: str = KERNEL) -> None:
        user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        self._process = subprocess.Popen(
            [*_NAMESPACES, *user, sys.executable, "-m", "oracle.player", director],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )

    def play(self, scenario: Scenario, place: Place, *, fresh: bool = False) -> list[Answer]:
        """What it answers at each step; with `fresh`, as its first scenario. Raises PlayerError."""
        asked = {"name": scenario.name, "method": scenario.method, "lines": scenario.lines}
        request = json.dumps({**asked, "place": place.number, "fresh": fresh})
        assert self._process.stdin
        assert self._process.stdout
        print(request, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        told: dict[str, Any] = json.loads(line) if line else {"error": "the player has ended"}
        if "error" in told:
            raise PlayerError(f"{scenario.name}: {told['error']}")
        return [answer(each) for each in told["answers"]]

    def __enter__(self) -> PlayerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
