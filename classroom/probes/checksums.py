"""Checksums: packets that arrive and are thrown away for theirs; and pings, which hide that."""

from __future__ import annotations

from classroom.probes.requests import MANY, ask
from classroom.variants import Variant
from labs.run.running import RunningLab


def damaged(running: RunningLab, variant: Variant) -> dict[str, int]:
    """TCP packets with a wrong checksum that each host has got while c1 was asking (TcpInCsumErrors)."""
    hosts = ("c1", *variant.hosts("servers"))
    before = {name: _wrong(running, name) for name in hosts}
    ask(running.clients[0], 80, MANY)
    return {name: _wrong(running, name) - before[name] for name in hosts}


def _wrong(running: RunningLab, host: str) -> int:
    """Raises ValueError."""
    lines = running.network.hosts[host].run(["cat", "/proc/net/snmp"], timeout=2).stdout.splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("InCsumErrors")])


def pings(running: RunningLab, variant: Variant) -> dict[str, bool]:
    """Whether each client gets an answer when it pings the VIP."""
    command = ["ping", "-n", "-c", "1", "-W", "1", variant.plan.vip]
    clients = running.clients
    return {one.host.name: one.host.run(command, timeout=2).exit_code == 0 for one in clients}
