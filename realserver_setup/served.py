"""What an ftp server has served, read from its log.

Apart from ftpd.py, so that who reads a log need not import an ftp server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Served:
    """A command as the log has it: who gave it, with which argument, and the reply's code."""

    client: str
    command: str
    argument: str
    code: int


def served(log: Path) -> list[Served]:
    """The commands in the log of an ftpd, in order; lines that are something else are passed over."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [Served(**json.loads(line)) for line in lines if line.startswith('{"client"')]
