"""Who gets the next connection? Said first, then seen."""

from __future__ import annotations

from classroom.checks.plays import PREDICTED, all_played
from classroom.exercise import Exercise
from classroom.guided.answers import NAME, text
from classroom.guided.plays import sections
from classroom.variants import Variant

_HEAD = """\
For each scheduler a service of its own, with rs1, rs2 and rs3 in this order in the director's list, and
nobody else's connections. Who gets each connection? Replace every ____ by rs1, rs2 or rs3.

stays open   until the last connection of the section has been made
closes       before the next one comes; the director remembers it as inactive for a minute or two"""


def _files(variant: Variant) -> dict[str, str]:
    return {NAME: text(_HEAD, sections(variant))}


EXERCISE = Exercise(
    title="Who gets the next connection?",
    methods=("nat",),
    servers=(3,),
    checks=(*PREDICTED, all_played),
    files=_files,
    diagnosis=False,
)
