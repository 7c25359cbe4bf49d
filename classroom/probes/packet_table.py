"""The packets of one connection, in the captures of all hosts."""

from __future__ import annotations

from classroom.case import Case
from classroom.guided.packet_table import connection, hops
from labs.run.packet_table import Row, observe
from labs.run.running import Running
from labs.wait import look_until

_SECONDS = 1.5  # until tcpdump has written what it saw


def packets(running: Running, case: Case) -> list[dict[str, str] | None]:
    """Each row of the table as the captures show it, None where they do not."""
    macs = {interface: mac for mac, interface in case.plan.topology.names_of_macs.items()}
    port = connection(case).port

    def rows() -> list[Row | None]:
        return observe(running.evidence.pcaps, hops(case), port, macs)

    return [row.as_dict() if row else None for row in look_until(rows, all, _SECONDS)]
