"""What the daemons of a real server have served, read from their logs.

Apart from httpd.py and ftpd.py, so that reading a log imports no server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FtpCommand:
    """A command as the log has it: who gave it, with which argument, and the reply's code."""

    client: str
    command: str
    argument: str
    code: int


def ftp_commands(log: Path) -> list[FtpCommand]:
    """The commands in the log of an ftpd, in order; lines that are something else are passed over."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [FtpCommand(**json.loads(line)) for line in lines if line.startswith('{"client"')]
