"""Sources: whose packets leave for the clients, as their router sees it."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from classroom.case import Case
from classroom.probes.requests import MANY, ask
from labs.running import Running
from labs.topology import LAN, Role
from labs.wait import patient

_WATCH = Path(__file__).resolve().parent.parent / "inside" / "watch_sources.py"
_LONGEST = 10  # seconds


def sources(running: Running, case: Case) -> dict[str, int]:
    """TCP packets that come to the router r0 from the director's LAN while c1 asks, by their source."""
    router = case.plan.machines(Role.ROUTER)[0]
    interface = next(leg.interface for leg in router.legs if leg.switch == LAN)
    command = [sys.executable, "-S", "-E", str(_WATCH), interface, str(patient(_LONGEST))]
    watching = running.network.hosts[router.name].open(command)
    assert watching.stdout is not None
    if watching.stdout.readline():
        ask(running.clients[0], 80, MANY)
        watching.send_signal(signal.SIGUSR1)
    output, complaint = watching.communicate(timeout=patient(_LONGEST))
    if watching.returncode:
        raise ValueError(f"{interface} can't be watched: {complaint.strip().rpartition(chr(10))[2]}")
    return dict(json.loads(output))
