"""`./inv handout` and `./inv solution`: an exercise on paper, for the student and for the teacher.

A handout is one A4 sheet per student: the picture of the lab with that student's addresses, the symptom, the
task, and space for the diagnosis. A solution covers every fault, or the fault of one student.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markdown_it import MarkdownIt
from markupsafe import Markup
from rich.markdown import Markdown

from classroom import catalogue
from classroom.checks import title
from classroom.grading.explanations import explanation
from classroom.model import Edit, Solution, Variant, lab_title
from classroom.script_edits import edits_of
from classroom.variants import default_student, variant_for
from labs.errors import BadRequest
from labs.run.picture import draw
from labs.terminal.screen import make_console, print_wrapped
from realserver_setup.render import TEMPLATES

_SECTION = re.compile(r"^## (.*)\n", re.MULTILINE)
_SHOWN = ("The symptom", "The task")  # sections of a handout


def handout(name: str, students: str, output: str) -> int:
    """Write the sheets of an exercise; `students` are ids, separated by commas. Raises BadRequest."""
    variants = [variant_for(name, student, healthy=True) for student in _ids(students)]
    return _write(Path(output or f"{name}-handout.html"), _page(variants))


def _ids(students: str) -> list[str]:
    return [student.strip() for student in students.split(",")] if students else [default_student()]


def _page(variants: list[Variant]) -> str:
    """The HTML of a handout, with a sheet for each variant."""
    sheets = [
        {
            "variant": variant,
            "title": catalogue.title(variant.exercise),
            # The packet table would answer a worksheet's questions.
            "picture": Markup(draw(variant.plan, packets=variant.definition.files is None)),
            "sections": [(heading, _html(text)) for heading, text in _sections(variant)],
        }
        for variant in variants
    ]
    return _template("handout").render(sheets=sheets)


def _sections(variant: Variant) -> Iterator[tuple[str, str]]:
    """The sections of the exercise's text that a handout shows, with the student's facts."""
    _, *parts = _SECTION.split(variant.filled(catalogue.text(variant.exercise)))
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        if heading in _SHOWN:
            yield heading, text


def solution(name: str, student: str, output: str) -> int:
    """Print the solution of each fault, or of a student's, or write it as a page. Raises BadRequest."""
    text = solution_text(name, student)
    if output:
        return _write(Path(output), _template("solution").render(name=name, text=_html(text)))
    make_console().print(Markdown(text))
    return 0


def solution_text(name: str, student: str = "") -> str:
    """The solution in Markdown: for the student's fault, or for each fault with an example student."""
    variants = [variant_for(name, student)] if student else _one_of_each(name)
    parts = [f"# {name}: {catalogue.title(name)}", *map(_solution_of, variants)]
    return "\n\n".join(parts) + "\n"


def _one_of_each(name: str) -> list[Variant]:
    """A variant with each fault, in order."""
    found: dict[int, Variant] = {}
    for number in count():
        variant = variant_for(name, f"s{number}")
        found.setdefault(variant.number or 0, variant)
        if len(found) == len(catalogue.solutions(name)):
            return [found[key] for key in sorted(found)]
    raise AssertionError


def _solution_of(variant: Variant) -> str:
    found = catalogue.solutions(variant.exercise)[variant.number or 0]
    return "\n\n".join(_parts(variant, found))


def _parts(variant: Variant, found: Solution) -> Iterator[str]:
    faults = len(catalogue.faults(variant.exercise))
    which = f"Fault {(variant.number or 0) + 1} of {faults}" if faults else "Solution"
    yield f"## {which}, as for {variant.student} in {lab_title(variant.method, variant.definition.family)}"
    if found.cause:
        about = explanation(found, variant)
        hosts = ", ".join(f"`{host}`" for host in variant.hosts(found.host))
        yield f"**Cause**: `{found.cause}` on {hosts}. {about.means}"
        accepted = ", ".join(f"`{word}`" for word in found.evidence)
        yield f"**What settles it**: {about.settled} Accepted as evidence: {accepted}."
        yield f"**To read**: {about.link}."
    failing = [title(judge) for judge in variant.definition.checks if judge.__name__ in found.fails]
    yield "**Checks that fail at first**: " + "; ".join(failing) + "."
    if edits := edits_of(variant)[len(variant.definition.base) :]:
        yield "**What the fault changes**:"
        yield "\n".join(("```", *(line for edit in edits for line in _edited(edit, variant)), "```"))
    yield "**One repair**:"
    lines = [
        f"{host}# {variant.filled(command)}"
        for step in found.repairs
        for host in variant.hosts(variant.filled(step.on))
        for command in step.commands
    ]
    yield "\n".join(("```", *lines, "```"))


def _edited(edit: Edit, variant: Variant) -> Iterator[str]:
    """An edit of a set-up script, like the lines of a diff."""
    hosts = " ".join(variant.hosts(edit.on))
    yield f"{hosts} {edit.script}{': the whole script' if edit.whole else ''}"
    if edit.find:
        yield f"-  {variant.filled(edit.find)}"
    for line in variant.filled(edit.put).strip().splitlines():
        yield f"+  {line}"


def _html(text: str) -> Markup:
    return Markup(MarkdownIt("commonmark", {"html": False}).render(text))


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    return environment.get_template(f"classroom/{name}.html.j2")


def _write(file: Path, page: str) -> int:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise BadRequest(
            f"--output {file} cannot be written ({error.strerror}): name another file."
        ) from None
    print_wrapped(make_console(), f"Written: {file}")
    return 0
