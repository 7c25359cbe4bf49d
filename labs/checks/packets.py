"""The packet table of one connection, row by row."""

from __future__ import annotations

from labs.checks.result import Check
from labs.network.topology import Role
from labs.run.packet_table import Hop, Row, observe
from labs.run.running import RunningLab
from labs.wait import poll_until

SUBJECT = "packet table"
_CLIENT_PORT = 40001
_PATIENCE = 5.0  # seconds until tcpdump has written what it saw


def packet_table(run: RunningLab) -> tuple[Check, ...]:
    """One connection from the first client, found again in the captures of all hosts."""
    page = run.clients[0].page("/index.html", _CLIENT_PORT)
    server = next((s for s in run.plan.servers if f"{s.name}<" in page.stdout), None)
    if server is None:
        return (Check("packet table", False, "a page with its server's name", page.stderr or page.stdout),)
    hops = run.plan.hops(server, run.plan.nodes(Role.CLIENT)[0].interfaces[0], _CLIENT_PORT)
    run.packets = _observed(run, hops)
    return tuple(_compare(hop, row) for hop, row in zip(hops, run.packets, strict=True))


def _observed(run: RunningLab, hops: tuple[Hop, ...]) -> list[Row | None]:
    """Look until every row is there or the time is over; what is missing then stays missing."""
    macs = {interface: mac for mac, interface in run.plan.topology.names_of_macs.items()}
    return poll_until(lambda: observe(run.evidence.pcaps, hops, _CLIENT_PORT, macs), all, _PATIENCE)


def _compare(hop: Hop, row: Row | None) -> Check:
    expected = hop.expected
    name = f"packet table: {expected.packet}"
    seen = _text(row) if row else f"not seen on {hop.interface}"
    return Check(name, row == expected, _text(expected), seen)


def _text(row: Row) -> str:
    parts = [f"{row.source} > {row.dest}"]
    if row.outer_source:
        parts.append(f"in {row.outer_source} > {row.outer_dest}")
    if row.source_mac:
        parts.append(f"by {row.source_mac} > {row.dest_mac}")
    return " ".join(parts)
