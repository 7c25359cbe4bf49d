"""Runs every command that the documentation shows, as it is written there.

Each line of a shell block is a command. `sudo` is left out (a newcomer needs it once, for the installation),
and so are commands that would start the tests within the tests.

More is checked of the lessons, labs/vs_*/README.md. Their prompt is that of their own lab, and the scripts,
packets and answers that they show must be those of a run; so must the answers on docs/paper.md. One run of a
lab serves all tests of a page.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from labs.hosts.setups import scripts_in_order
from labs.methods import METHODS
from labs.network.topology import Role
from labs.plan import Plan, plan_for
from labs.run.options import LabOptions
from labs.wait import patient
from realserver_setup.render import DIALECTS
from tests.labs.lesson import Lesson, missing

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("labs/*/README.md")])
LESSONS = sorted(ROOT.glob("labs/vs_*/README.md"))
TRANSCRIPTS = [*LESSONS, ROOT / "docs" / "paper.md"]  # whose answers at the prompt are compared with a run
TYPED_WHOLE = ROOT / "docs" / "operating.md"  # by test_operating.py
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NOT_HERE = ("./inv test", "./inv vm", "git clone", "cd ")
# These are started by the tests of what is typed at their prompt.
_AT_THE_PROMPT = tuple(f"./inv lab-{Lesson(page).method} --cli" for page in LESSONS)
_NEXT = re.compile(r"\b(?:e\d\d|build-\w+)\b")
_TYPED = re.compile(r"^mininet> (.*)$", re.MULTILINE)
_COMPLAINTS = ("lvs-explain:", "ipvsadm:", "fwmark:", "ipvs-sysctl:", "not found", "*** Unknown")


def commands() -> Iterator[str]:
    """The documented commands, each once, without the three labs: test_labs.py runs these."""
    seen = {f"./inv lab-{method}" for method in METHODS}
    for page in (page for page in PAGES if page != TYPED_WHOLE):
        for block in _BLOCK.findall(page.read_text()):
            for line in block.splitlines():
                command = line.partition("#")[0].strip().removeprefix("sudo ")
                if command and not command.startswith(_NOT_HERE + _AT_THE_PROMPT) and command not in seen:
                    seen.add(command)
                    yield command


@pytest.mark.parametrize("command", list(commands()))
def test_a_documented_command_works(command: str, runs: Path) -> None:
    done = subprocess.run(
        shlex.split(command),
        cwd=ROOT,
        env={**os.environ, "LVS_RUNS": str(runs / "documented")},  # where no other lab runs
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patient(180),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documentation_has_commands() -> None:
    assert {"./inv exercises", "./inv doctor"} <= set(commands())


def _each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=[str(page.relative_to(ROOT)) for page in pages])


_EACH_PAGE, _EACH_LESSON, _EACH_TRANSCRIPT = _each(PAGES), _each(LESSONS), _each(TRANSCRIPTS)


@dataclass(frozen=True)
class Played:
    """A page's lines, typed at the prompt of a lab: what was printed before, the answers, report.json."""

    code: int
    before: str
    answers: tuple[str, ...]
    report: dict[str, Any]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Played]:
    """Start a page's lab and type its lines: a lesson's own lab, once for all tests, or lab-nat."""
    runs = tmp_path_factory.mktemp("played")

    @cache
    def played(page: Path) -> Played:
        lab = f"lab-{Lesson(page).method}" if page in LESSONS else "lab-nat"
        report = runs / f"{'-'.join(page.relative_to(ROOT).parts)}.json"
        done = subprocess.run(
            [ROOT / "inv", lab, "--cli", "--report", report],
            input="\n".join([*_TYPED.findall(page.read_text()), "exit", ""]),
            env={**os.environ, "LVS_RUNS": str(runs)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patient(180),
        )
        before, *answers = done.stdout.split("mininet> ")
        return Played(done.returncode, before, tuple(answers), json.loads(report.read_text()))

    return played


@_EACH_PAGE
def test_what_is_typed_at_the_prompt_works(page: Path, play: Callable[[Path], Played]) -> None:
    typed = _TYPED.findall(page.read_text())
    if not typed:
        return
    played = play(page)
    answers = "".join(played.answers)
    assert played.code == 0, played.before + answers
    assert len(played.answers) > len(typed)
    assert len(answers.splitlines()) > len(typed)
    assert not [complaint for complaint in _COMPLAINTS if complaint in answers], answers


@_EACH_TRANSCRIPT
def test_a_lab_and_its_prompt_answer_as_a_page_shows(page: Path, play: Callable[[Path], Played]) -> None:
    lesson, played = Lesson(page), play(page)
    typed = list(lesson.typed())
    assert [one.command for one in typed] == _TYPED.findall(page.read_text())
    assert missing(lesson.output(), played.before) == [], played.before
    for one, answer in zip(typed, played.answers, strict=False):
        assert missing(one.shown, answer) == [], f"{one.command}\n{answer}"


def plan_of(page: Path) -> Plan:
    return plan_for(Lesson(page).method, LabOptions())


@_EACH_LESSON
def test_the_packet_table_of_a_lesson_is_that_of_a_run(page: Path, play: Callable[[Path], Played]) -> None:
    """Of any real server, and so is the run's: who gets that connection is the scheduler's matter."""
    lesson, plan = Lesson(page), plan_of(page)
    client = plan.nodes(Role.CLIENT)[0].interfaces[0]
    port = int(lesson.packets()[0]["source"].partition(":")[2])
    tables = [[hop.expected.as_dict() for hop in plan.hops(server, client, port)] for server in plan.servers]
    assert play(page).report["packets"] in tables
    for table in tables:
        for row in table:
            del row["data"]
    assert lesson.packets() in tables
    assert lesson.named_macs().items() <= plan.topology.names_of_macs.items()


@_EACH_LESSON
def test_a_lesson_shows_every_command_of_the_scripts_and_no_other(page: Path) -> None:
    """What the director's script has in common with another lab's may be explained on that lab's page."""
    explained = {line for lesson in LESSONS for line in Lesson(lesson).script_lines()}
    scripts = [script for dialect in DIALECTS for script in scripts_in_order(plan_of(page), dialect)]
    rendered = {(script.name, line) for script in scripts for line in script.text.splitlines()}
    assert set(Lesson(page).script_lines()) <= rendered
    wanted = {
        (name, line)
        for name, line in rendered
        if name.startswith(("rs1/", "d/")) and line.strip() not in ("", "set -e") and not line.startswith("#")
    }
    assert wanted <= explained, wanted - explained


@_EACH_LESSON
def test_a_lesson_leads_to_exercises_that_there_are(page: Path) -> None:
    named = set(_NEXT.findall(page.read_text()))
    assert {name for name in named if not (ROOT / "exercises" / name.replace("-", "_")).is_dir()} == set()
    assert f"build-{Lesson(page).method}" in named


@_EACH_PAGE
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
