"""Sessions that use two ports: who serves each customer at each of them."""

from __future__ import annotations

import json
from typing import Any

from classroom.in_host import command
from classroom.variants import Variant
from labs.run.running import RunningLab
from labs.wait import patient

PAGES, TILL = 80, 8080  # a shop: its pages, and where people pay
CUSTOMERS = tuple(f"198.51.100.{number}" for number in range(201, 207))  # people behind c1
_SILENCE = 1.4  # seconds: one SYN sent again


def let_them_in(running: RunningLab, variant: Variant) -> None:
    """Give c1 the customers' addresses, beside its own."""
    for customer in CUSTOMERS:
        running.clients[0].host.run(["ip", "addr", "add", f"{customer}/32", "dev", "c1-eth0"])


def sessions(running: RunningLab, variant: Variant) -> list[dict[str, Any]]:
    """For each `customer`, `answers`: by port, who has answered each of two requests."""
    client = running.clients[0]
    ports, customers = f"{PAGES},{TILL}", ",".join(CUSTOMERS)
    asking = command("ask_sessions", client.vip, patient(_SILENCE), ports, customers)
    done = client.host.run(asking, timeout=4.5)
    return list(json.loads(done.stdout or "[]"))
