"""ftp: one session in each mode, how far it came, and how much of it the director has sent."""

from __future__ import annotations

import json
from typing import Any

from classroom.in_host import command
from classroom.variants import Variant
from labs.run.running import RunningLab
from labs.wait import patient

FILE, SIZE = "100k.bin", 100_000  # one of the files that every real server has, and its bytes
_CONNECT, _SILENCE = 0.8, 1.6  # seconds


def ftp_sessions(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """What became of a session of c1 in each mode, and the bytes that the director has sent meanwhile.

    `sessions` have `mode`, `login`, `listed`, `got`, `why` not, and the address `named` by a 227;
    `sent` is what has come out of the director's interfaces, by the switches' counters.
    """
    client = running.clients[0]
    asking = command("ask_ftp", client.vip, FILE, patient(_CONNECT), patient(_SILENCE))
    before = _sent(running)
    done = client.host.run(asking, timeout=3 * _SILENCE)
    return {"sessions": json.loads(done.stdout or "[]"), "sent": _sent(running) - before}


def _sent(running: RunningLab) -> int:
    interfaces = running.plan.topology.director.interfaces
    ports = {running.network.switch_port(interface.name) for interface in interfaces}
    return sum(counters.rx_bytes for counters in running.controller.ports() if counters.name in ports)
