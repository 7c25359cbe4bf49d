"""Every exercise is complete: texts, hints, faults, solutions and checks match."""

from __future__ import annotations

import re
from typing import Any

import pytest

from classroom import catalogue
from classroom.checks import probes_of, title
from classroom.diagnosis import CAUSES, EVIDENCE
from classroom.grading.archive import without_answers
from classroom.script_edits import script_editor
from classroom.variants import variant_for
from labs.errors import BadRequest, Unable
from realserver_setup.render import scripts_for

NAMES = catalogue.names()
HEADINGS = ["What you will learn", "Background", "The symptom", "The task"]
BRACES = re.compile(r"(?<!\$)\{(\w+)\}")


def players() -> list[tuple[str, str]]:
    """Each exercise with students for all of its faults, methods and numbers of servers."""
    met: dict[object, tuple[str, str]] = {}
    for name in NAMES:
        for student in (f"s{number}" for number in range(100)):
            variant = variant_for(name, student)
            met.setdefault((name, variant.number, variant.method, variant.servers), (name, student))
    return list(met.values())


PLAYERS = players()


def test_titles_are_unique() -> None:
    assert "e04" in NAMES
    assert len({catalogue.title(name) for name in NAMES}) == len(NAMES)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(BadRequest, match="choose from"):
        catalogue.load("e99")
    with pytest.raises(BadRequest):
        catalogue.load("../e04")


@pytest.mark.parametrize("name", NAMES)
def test_a_text_has_its_sections(name: str) -> None:
    text = catalogue.text(name)
    assert text.partition("\n")[0] == f"# {name}: {catalogue.title(name)}"
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize(("name", "student"), PLAYERS)
def test_texts_leave_no_braces(name: str, student: str) -> None:
    variant = variant_for(name, student)
    for text in (catalogue.text(name), *catalogue.hints(name)):
        assert BRACES.findall(variant.filled(text)) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_hints(name: str) -> None:
    hints = catalogue.hints(name)
    assert len(hints) >= 2
    assert all(hints)


@pytest.mark.parametrize("name", NAMES)
def test_titles_and_texts_do_not_name_the_cause(name: str) -> None:
    words = catalogue.title(name).lower()
    for solution in catalogue.solutions(name):
        assert solution.cause.replace("_", " ") not in words or not solution.cause
        assert solution.cause not in catalogue.text(name) or "_" not in solution.cause


@pytest.mark.parametrize("name", NAMES)
def test_solutions_match_faults_and_checks(name: str) -> None:
    about, solutions = catalogue.load(name), catalogue.solutions(name)
    assert len(solutions) == max(1, len(catalogue.faults(name)))
    checks = [judge.__name__ for judge in about.checks]
    for solution in solutions:
        assert solution.fails
        assert set(solution.fails) <= set(checks)
        assert solution.repairs
        assert bool(solution.cause and solution.host and solution.evidence) == about.diagnosis
        assert {solution.cause} - {""} <= set(CAUSES)
        assert set(solution.evidence) <= set(EVIDENCE)


@pytest.mark.parametrize("name", NAMES)
def test_check_titles_do_not_name_the_cause(name: str) -> None:
    judges = catalogue.load(name).checks
    titles = [title(judge) for judge in judges]
    assert len(set(titles)) == len(titles)
    assert all(probes_of((judge,)) for judge in judges)
    words = {word for solution in catalogue.solutions(name) for word in [solution.cause] if "_" in word}
    assert not [
        named for named in titles if any(word in named or word in named.replace(" ", "_") for word in words)
    ]


@pytest.mark.parametrize(("name", "student"), PLAYERS)
def test_every_edit_matches_and_leaves_no_braces(name: str, student: str) -> None:
    variant = variant_for(name, student)
    alter = script_editor(variant)
    for setup in variant.plan.setups:
        for script in scripts_for(setup).values():
            after = alter(script)
            assert after is None or not BRACES.findall(after.text)


@pytest.mark.parametrize(("name", "student"), PLAYERS)
def test_answers_and_repairs_name_existing_hosts(name: str, student: str) -> None:
    variant = variant_for(name, student)
    hosts = {node.name for node in variant.plan.topology.nodes}
    solution = catalogue.solutions(name)[variant.number or 0]
    assert not solution.host or set(variant.hosts(solution.host)) <= hosts
    for repair in solution.repairs:
        assert set(variant.hosts(variant.filled(repair.on))) <= hosts
        assert repair.commands


@pytest.mark.parametrize("name", NAMES)
def test_cutting_the_answers_keeps_exercise_and_faults(name: str) -> None:
    file = catalogue.files_of(name)[0]
    source = without_answers(file.read_text(), file.name)
    assert source.isascii()
    module: dict[str, Any] = {"__name__": f"exercises.{file.stem}_of_students", "__file__": str(file)}
    exec(compile(source, file.name, "exec"), module)
    assert "SOLUTIONS" not in module
    assert _shown(module.get("FAULTS", ())) == _shown(catalogue.faults(name))
    assert _shown(module["EXERCISE"]) == _shown(catalogue.load(name))


def _shown(values: object) -> str:
    """Without the addresses of functions."""
    return re.sub(r" at 0x\w+", "", repr(values))


def test_an_exercise_without_solutions_is_a_students(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("exercises.e04.SOLUTIONS")
    with pytest.raises(Unable, match="student's archive"):
        catalogue.solutions("e04")


def test_the_readme_counts_the_exercises() -> None:
    page = (catalogue.FOLDER.parent / "README.md").read_text()
    assert f", {len(catalogue.names())} exercises with automatic grading" in page


def test_the_teachers_table_has_every_exercise() -> None:
    page = (catalogue.FOLDER.parent / "docs" / "teaching.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([A-Z, ]+) \| (.*) \|$", page, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(catalogue.names())
    for name, methods, what in rows:
        assert methods.split(", ") == [method.upper() for method in catalogue.load(name).methods]
        causes = dict.fromkeys(
            CAUSES[solution.cause] for solution in catalogue.solutions(name) if solution.cause
        )
        assert not causes or what == ", or ".join(causes)
