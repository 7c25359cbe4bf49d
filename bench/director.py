"""A director of ours on a testbed's host d, with one of its engines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.testbed import Testbed, rules
from director import engines
from director.control.channel import call
from director.engines.engine import EngineError
from director.ipvsadm import save_format
from labs.errors import BuildFailed
from labs.wait import patient


def cannot(engine: str) -> str:
    """Why the engine can't run here; empty where it can."""
    try:
        engines.require(engine)
    except EngineError as missing:
        return str(missing)
    return ""


def set_up(testbed: Testbed, engine: str, *options: str, lines: Sequence[str] | None = None) -> None:
    """Start it and give it its rules, as lines of ipvsadm: usually the testbed's own. Raises BuildFailed."""
    command = (sys.executable, "-m", "director", "--method", testbed.method, "--engine", engine)
    program = testbed.start("d", *command, "--socket", _socket(testbed), *options, "d-c", "d-s")

    def is_up() -> bool:
        if program.poll() is not None:
            raise BuildFailed(f"The director has ended: see {testbed.folder}.")
        return Path(_socket(testbed)).exists()

    testbed.wait(is_up, f"the director's control socket ({engine})")
    apply(testbed, rules(testbed.method) if lines is None else lines)


def apply(testbed: Testbed, lines: Sequence[str]) -> None:
    """More rules."""
    commands = [command for line in lines for command in save_format.read(line)]
    call(_socket(testbed), {"do": "apply", "commands": commands}, timeout=patient(20))


def _socket(testbed: Testbed) -> str:
    return f"/run/{testbed.name}.sock"
