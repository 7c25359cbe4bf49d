"""The whole table: `python -m exercises.packet_table.solution STUDENT` prints the file filled in."""

from __future__ import annotations

import sys

from classroom.exercise import WORK, Repair, Solution
from classroom.guided.answers import NAME, Section, text
from classroom.guided.packet_table import cells, hops
from classroom.variants import variant_for

_ITSELF = f"{sys.executable} -m exercises.packet_table.solution"

SOLUTIONS = (
    Solution(
        fails=("first_packet", "packets_between", "last_packet"),
        repairs=(Repair("c1", (f"{_ITSELF} {{student}} > ../../{WORK}/{NAME}",)),),
    ),
)


def filled_in(student: str) -> str:
    """The answers file, all right."""
    variant = variant_for("packet-table", student)
    return text("", [Section(hop.expected.packet, "", cells(hop)) for hop in hops(variant)])


if __name__ == "__main__":
    sys.stdout.write(filled_in(sys.argv[1]))
