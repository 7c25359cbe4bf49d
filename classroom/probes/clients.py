"""The other clients: what they get, and who the real servers take them for."""

from __future__ import annotations

from collections import Counter
from typing import Any

from classroom.probes.requests import ask, weighted_rounds
from classroom.variants import Variant
from labs.hosts.client import Client
from labs.run.running import RunningLab


def other_clients(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """`clients`: by name, c1 left out, how requests ended; `visitors`: whose the real servers took them for.

    One client asks after the other, so that each comes to every real server.
    """
    before = {server.name: len(running.farm.requests(server.name)) for server in variant.plan.servers}
    clients = {client.host.name: _asked(client, variant) for client in running.clients[1:]}
    logged = (running.farm.requests(name)[count:] for name, count in before.items())
    visitors = {request.client for requests in logged for request in requests}
    return {"clients": clients, "visitors": sorted(visitors)}


def _asked(client: Client, variant: Variant) -> dict[str, int]:
    return dict(Counter(one["how"] for one in ask(client, 80, weighted_rounds(variant))))
