"""The part of test_memory_cost.py that runs in a process of its own, with fresh memory.

Started as `python memory_trial.py connection|flood`; prints one line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path

from director.core.decision import Forward
from director.core.packet import ACK, SYN, TCP, Endpoint, Packet
from tests.bench.support import VIP, director, packet

CONNECTIONS, FLOOD, LIMIT, ESTABLISHED = 200_000, 1_000_000, 100_000, 1000


def resident() -> int:
    """Bytes of memory in use (proc(5), statm)."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def connection() -> dict[str, float]:
    made = director()
    before = resident()
    for number in range(CONNECTIONS):
        made.decide(packet(number), 0)
    return {"connections": len(made.connections), "bytes": (resident() - before) / CONNECTIONS}


def flood() -> dict[str, float]:
    """SYNs from a million spoofed clients; a thousand real connections are established."""
    made = director(limit=LIMIT)
    before = peak = resident()
    client, vip = "198.51.100.7", Endpoint(VIP, 80)
    ports = range(2000, 2000 + ESTABLISHED)
    for port in ports:
        for flags in (SYN, ACK):
            made.decide(Packet(TCP, Endpoint(client, port), vip, 40, flags=flags), 0)
    most, began = 0, time.perf_counter()
    for number in range(FLOOD):
        made.decide(packet(number), number / 20_000)
        if not number % 50_000:
            made.tick(number / 20_000)
            peak, most = max(peak, resident()), max(most, len(made.connections))
    seconds = time.perf_counter() - began
    alive = [made.decide(Packet(TCP, Endpoint(client, port), vip, 40, flags=ACK), 50) for port in ports]
    return {
        "syns": FLOOD,
        "limit": LIMIT,
        "most": most,
        "bytes": peak - before,
        "seconds": seconds,
        "established": ESTABLISHED,
        "alive": sum(isinstance(decision, Forward) for decision in alive),
    }


if __name__ == "__main__":
    print(json.dumps({"connection": connection, "flood": flood}[sys.argv[1]]()))
