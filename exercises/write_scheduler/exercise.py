"""A scheduler is a class of two methods: write one."""

from __future__ import annotations

from pathlib import Path

from classroom.checks.own_scheduler import own_tests, quiesced_left_out, spread_smoothly
from classroom.checks.service import all_served
from classroom.exercise import Edit, Exercise
from classroom.guided.own_scheduler import FILE, STARTER, TESTS, TESTS_COPY
from classroom.variants import Variant

_HERE = Path(__file__).resolve().parent


def _files(variant: Variant) -> dict[str, str]:
    return {FILE: (_HERE / STARTER).read_text(), TESTS_COPY: (_HERE / TESTS).read_text()}


EXERCISE = Exercise(
    title="Write a scheduler",
    methods=("nat",),
    servers=(3,),
    checks=(own_tests, spread_smoothly, quiesced_left_out, all_served),
    base=(Edit("d", "start.sh", "exec ", f"{{line}} --scheduler-file '{{work}}/{FILE}'"),),
    files=_files,
    diagnosis=False,
)
