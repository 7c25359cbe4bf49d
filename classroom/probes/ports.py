"""Ports of the VIP: how a connection to one of them ends."""

from __future__ import annotations

import sys
from pathlib import Path

import labs
from classroom.case import Case
from labs.running import Running
from labs.wait import patient

_TRY = Path(labs.__file__).parent / "try_connect.py"
_FTP = 21
_SILENCE = 1.2  # seconds


def ftp_port(running: Running, case: Case) -> str:
    """How a connection of c1 to the VIP's ftp port ends: `connected`, or the name of an errno."""
    client = running.clients[0]
    command = [sys.executable, "-S", "-E", str(_TRY), client.vip, str(_FTP), str(patient(_SILENCE))]
    return client.host.run(command, timeout=2 * _SILENCE).stdout.strip()
