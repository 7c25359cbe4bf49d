"""How many real servers behind a director? On paper, then in a lab whose links are the limit."""

from __future__ import annotations

import sys

from classroom.checks.capacity import (
    LAB,
    SERVERS,
    growth,
    growth_predicted,
    label,
    links_measured,
    order_sized,
    processor_sized,
    right,
    sections,
    slow_links,
)
from classroom.model import WORKDIR, Exercise, Repair, Solution, Variant
from classroom.variants import variant_for
from classroom.worksheet import NAME, Section, text

_HEAD = """\
Replace every ____ with a number. Leave the rest as it is."""


def _files(variant: Variant) -> dict[str, str]:
    return {NAME: text(_HEAD, sections(variant))}


EXERCISE = Exercise(
    methods=("nat", "dr"),
    servers=(SERVERS,),
    checks=(processor_sized, order_sized, growth_predicted, links_measured),
    prepare=slow_links,
    files=_files,
    diagnosis=False,
    view=False,
)

# ---- Solutions ----
# `python -m exercises.capacity STUDENT` prints the completed worksheet.

_COMMAND = f"{sys.executable} -m exercises.capacity"

SOLUTIONS = (
    Solution(
        fails=("processor_sized", "order_sized", "growth_predicted"),
        repairs=(Repair("c1", (f"{_COMMAND} {{student}} > ../../{WORKDIR}/{NAME}",)),),
    ),
)


def completed(student: str) -> str:
    """The worksheet with the right answers."""
    variant = variant_for("capacity", student)
    paper = [
        Section(name, "", {cell: f"{value:.6g}" for cell, value in cells.items()})
        for name, cells in right(variant).items()
    ]
    lab = {label(count): f"{value:g}" for count, value in growth(variant).items() if count > 1}
    return text("", [*paper, Section(LAB, "", lab)])


if __name__ == "__main__":
    sys.stdout.write(completed(sys.argv[1]))
