"""Sources: whose packets leave for the clients, as their router sees it."""

from __future__ import annotations

import json
import signal

from classroom.in_host import command
from classroom.probes.requests import MANY, ask
from classroom.probes.router import lan_interface
from classroom.variants import Variant
from labs.run.running import RunningLab
from labs.wait import patient

_LONGEST = 10  # seconds


def sources(running: RunningLab, variant: Variant) -> dict[str, int]:
    """TCP packets that come to the router r0 from the director's LAN while c1 asks, by their source."""
    interface = lan_interface(variant)
    watching = running.network.hosts[interface.node].open(
        command("watch_sources", interface.name, patient(_LONGEST))
    )
    assert watching.stdout is not None
    if watching.stdout.readline():
        ask(running.clients[0], 80, MANY)
        watching.send_signal(signal.SIGUSR1)
    output, complaint = watching.communicate(timeout=patient(_LONGEST))
    if watching.returncode:
        raise ValueError(f"{interface.name} can't be watched: {complaint.strip().rpartition(chr(10))[2]}")
    return dict(json.loads(output))
