"""What the lab tests share besides fixtures: a finished lab, and the processes still running."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom import catalogue
from labs.methods import METHODS


@dataclass
class Finished:
    """A finished lab; `report` is its report.json, empty if there is none."""

    code: int
    output: str
    report: dict[str, Any]

    def check(self, start: str) -> dict[str, Any]:
        """The first check whose name starts so."""
        return next(check for check in self.report["checks"] if check["name"].startswith(start))

    @property
    def failed(self) -> list[str]:
        return [check["name"] for check in self.report["checks"] if not check["ok"]]


def processes_with(word: str) -> list[str]:
    """The command lines of all processes that have `word` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended, or is not ours
    return found


# LVS_PYTHON: the programs in */bin would look for .venv in the checkout.
FROM_CHECKOUT = {
    **os.environ,
    "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    "LVS_PYTHON": sys.executable,
}


def sandboxed(*command: str) -> list[str]:
    """The command in namespaces of its own: networks, mounts and processes, and of a user if need be."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *user, *command]


def has_two_directors(exercise: str) -> bool:
    """Whether an exercise is about a pair of directors, which takes longer to start and to check."""
    return not set(catalogue.load(exercise).methods) <= set(METHODS)
