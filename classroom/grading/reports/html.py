"""A submission's report as one page that needs nothing else."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from classroom.grading.gradebook import Entry
from classroom.grading.marking import WHOLE
from classroom.grading.reports.text import effort, points
from realserver_setup.render import TEMPLATES


def page(entry: Entry) -> str:
    """All that a student has written is escaped."""
    return _template().render(mark=entry.mark, whole=WHOLE, effort=effort, points=points)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    return environment.get_template("classroom/report.html.j2")
