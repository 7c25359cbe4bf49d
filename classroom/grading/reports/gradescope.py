"""A submission's results.json, as Gradescope's autograders write it."""

from __future__ import annotations

import json
from typing import Any

from classroom.grading.gradebook import Entry
from classroom.grading.marking import WHOLE, Part
from classroom.grading.reports.text import effort


def results(entry: Entry) -> str:
    """`visibility` keeps from students, until the marks are published, what would tell the answer."""
    mark = entry.mark
    told = f"{mark.exercise} of {mark.student}: {mark.title}. Asked for: {effort(mark)}."
    form = {
        "score": mark.points,
        "max_score": WHOLE,
        "output": told,
        "output_format": "text",
        "visibility": "visible",
        "tests": [_test(part) for part in mark.parts],
    }
    return json.dumps(form, indent=2) + "\n"


def _test(part: Part) -> dict[str, Any]:
    told = f"expected: {part.expected}\nobserved: {part.observed}"
    return {
        "name": part.name,
        "score": part.points,
        "max_score": part.most,
        "status": "passed" if part.ok else "failed",
        "output": f"{told}\n{part.why}" if part.why else told,
        "visibility": "after_published" if part.answer else "visible",
    }
