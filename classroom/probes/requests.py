"""Requests: many at once, each on a connection of its own, and how each of them ended."""

from __future__ import annotations

import json
from typing import Any

from classroom.in_host import command
from classroom.variants import Variant
from labs.hosts.client import Client
from labs.run.running import RunningLab
from labs.wait import patient

_SILENCE = 1.2  # seconds until a request has timed out: one SYN sent again
MANY = 12


def requests(running: RunningLab, variant: Variant) -> list[dict[str, str]]:
    """What became of twelve or more requests of c1 to port 80: a whole number of rounds."""
    return ask(running.clients[0], 80, weighted_rounds(variant))


def weighted_rounds(variant: Variant) -> int:
    """So many requests that all weights together go into them without a rest."""
    return whole(sum(server.weight for server in variant.plan.servers))


def whole(size: int) -> int:
    """MANY, or some more: a multiple of `size`."""
    return -(-MANY // size) * size


def ask(client: Client, port: int, count: int) -> list[dict[str, str]]:
    """`how` each request ended: `answered` by `server`, or the name of an errno. Raises ValueError."""
    asking = command("ask_names", client.vip, port, count, patient(_SILENCE))
    done = client.host.run(asking, timeout=4 * _SILENCE)
    if done.exit_code:
        raise ValueError(f"{client.host.name} could not ask: {done.stderr.strip() or done.exit_code}")
    answers: Any = json.loads(done.stdout)
    return list(answers)
