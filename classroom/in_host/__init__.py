"""Programs that probes run inside a host of the lab; they need the standard library only."""

from __future__ import annotations

from pathlib import Path

from labs.hosts.host import program


def command(name: str, *arguments: object) -> list[str]:
    """The command line of the program `name` of this folder."""
    return program(Path(__file__).with_name(f"{name}.py"), *arguments)
