"""A director between two cables, in another process: runs scenarios there and returns the answers."""

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
    """The scenario could not be run; the text says why."""


class PlayerProcess:
    """oracle.player in namespaces of its own. `director` is KERNEL, or the engine of our director.

    A context manager. Kernel IPVS has one list of connections for all networks, and one that another player
    changes while it is read may lack entries. So callers try again what differs.
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
        """The answer at each step; with `fresh`, in a new network. Raises PlayerError."""
        fields = {"name": scenario.name, "method": scenario.method, "lines": scenario.lines}
        request = json.dumps({**fields, "place": place.number, "fresh": fresh})
        assert self._process.stdin
        assert self._process.stdout
        print(request, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        reply: dict[str, Any] = json.loads(line) if line else {"error": "the player has ended"}
        if "error" in reply:
            raise PlayerError(f"{scenario.name}: {reply['error']}")
        return [answer(entry) for entry in reply["answers"]]

    def __enter__(self) -> PlayerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
