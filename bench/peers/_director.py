"""A director of ours on a site's host d, with one of its engines."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.site import Site, rules
from director import engines
from director.control.channel import call
from director.engines.engine import EngineError
from director.ipvsadm import saved
from labs.errors import BuildFailed
from labs.wait import patient


def cannot(engine: str) -> str:
    """Why the engine can't run here; empty where it can."""
    try:
        engines.require(engine)
    except EngineError as missing:
        return str(missing)
    return ""


def set_up(site: Site, engine: str, lines: list[str] | None = None, *options: str) -> str:
    """Start it and give it its rules; its control socket."""
    socket = f"/run/{site.name}.sock"
    command = (sys.executable, "-m", "director", "--method", site.method, "--engine", engine)
    program = site.start("d", *command, "--socket", socket, *options, "d-c", "d-s")

    def is_up() -> bool:
        if program.poll() is not None:
            raise BuildFailed(f"The director has ended: see {site.folder}.")
        return Path(socket).exists()

    site.wait(is_up, f"the director's control socket ({engine})")
    for line in rules(site.method) if lines is None else lines:
        call(socket, {"do": "apply", "commands": saved.read(line)}, timeout=patient(20))
    return socket
