"""The packets of one connection, in the captures of all hosts."""

from __future__ import annotations

from classroom.guided.packet_table import connection, hops
from classroom.variants import Variant
from labs.run.packet_table import Row, observe
from labs.run.running import RunningLab
from labs.wait import poll_until

_SECONDS = 1.5  # until tcpdump has written what it saw


def packets(running: RunningLab, variant: Variant) -> list[dict[str, str] | None]:
    """Each row of the table as the captures show it, None where they do not."""
    macs = {interface: mac for mac, interface in variant.plan.topology.names_of_macs.items()}
    port = connection(variant).port

    def rows() -> list[Row | None]:
        return observe(running.evidence.pcaps, hops(variant), port, macs)

    return [row.as_dict() if row else None for row in poll_until(rows, all, _SECONDS)]
