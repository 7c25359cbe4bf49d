"""Requests: many at once, each on a connection of its own, and how each of them ended."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from classroom.case import Case
from labs.client import Client
from labs.running import Running
from labs.wait import patient

_ASK = Path(__file__).resolve().parent.parent / "inside" / "ask_names.py"
_SILENCE = 1.2  # seconds until a request has timed out: one SYN sent again
MANY = 12


def requests(running: Running, case: Case) -> list[dict[str, str]]:
    """What became of twelve or more requests of c1 to port 80: a whole number of rounds."""
    weights = sum(server.weight for server in case.plan.servers)
    return ask(running.clients[0], 80, -(-MANY // weights) * weights)


def ask(client: Client, port: int, count: int) -> list[dict[str, str]]:
    """`how` each request ended: `answered` by `server`, or the name of an errno. Raises ValueError."""
    command = [sys.executable, "-S", "-E", str(_ASK), client.vip, str(port), str(count)]
    done = client.host.run([*command, str(patient(_SILENCE))], timeout=4 * _SILENCE)
    if done.exit_code:
        raise ValueError(f"{client.host.name} could not ask: {done.stderr.strip() or done.exit_code}")
    answers: Any = json.loads(done.stdout)
    return list(answers)
