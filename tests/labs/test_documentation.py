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
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from classroom import catalogue
from labs.hosts.setups import scripts_in_order
from labs.methods import METHODS
from labs.network.topology import Role
from labs.plan import Plan, plan_for
from labs.run.options import HaOptions, LabOptions
from labs.run.takeover import CONFIGURATION
from labs.wait import patient
from realserver_setup.render import DIALECTS, configuration
from tests.labs.lesson import Lesson, missing
from tests.labs.terminal import run_to_terminal

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    file for folder in (".", "docs", "labs/*", "classroom/*") for file in ROOT.glob(f"{folder}/*.md")
)
LESSONS = sorted(ROOT.glob("labs/vs_*/README.md"))
# Whose answers at the prompt are compared with a run:
TRANSCRIPTS = [*LESSONS, ROOT / "README.md", ROOT / "docs" / "director.md", ROOT / "docs" / "paper.md"]
OPERATING = ROOT / "docs" / "operating.md"  # its commands belong together: test_operating.py runs them
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EXCLUDED = ("./inv test", "./inv vm", "git clone", "cd ")
# The tests of the prompts start these.
_WITH_PROMPT = tuple(f"./inv lab-{Lesson(page).method} --cli" for page in LESSONS)
_EXERCISE = re.compile(r"\b(?:e\d\d|build-\w+)\b")
_TYPED = re.compile(r"^mininet> (.*)$", re.MULTILINE)
_COMPLAINTS = (
    "lvs-explain:",
    "lvs-monitor: expected",
    "lvs-monitor: /",
    "ipvsadm:",
    "fwmark:",
    "ipvs-sysctl:",
    "not found",
    "*** Unknown",
)


def commands() -> Iterator[str]:
    """Yields each documented command once, except those that test_labs.py and test_compare.py run."""
    known = {*(f"./inv lab-{method}" for method in METHODS), "./inv compare --quick", "./inv wireshark"}
    for page in (page for page in PAGES if page != OPERATING):
        for block in _BLOCK.findall(page.read_text()):
            for line in block.splitlines():
                command = line.partition("#")[0].strip().removeprefix("sudo ")
                if command and not command.startswith(_EXCLUDED + _WITH_PROMPT) and command not in known:
                    known.add(command)
                    yield command


@pytest.mark.parametrize("command", list(commands()))
def test_a_documented_command_succeeds(command: str, runs: Path) -> None:
    done = subprocess.run(
        shlex.split(command),
        cwd=ROOT,
        env={**os.environ, "LVS_RUNS": str(runs / "documented")},  # no other lab runs there
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patient(180),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documentation_has_commands() -> None:
    assert {"./inv exercises", "./inv doctor"} <= set(commands())


def _parametrize(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=[str(page.relative_to(ROOT)) for page in pages])


_EACH_PAGE, _EACH_LESSON, _EACH_METHOD, _EACH_TRANSCRIPT = (
    _parametrize(PAGES),
    _parametrize(LESSONS),
    _parametrize([page for page in LESSONS if Lesson(page).method in METHODS]),
    _parametrize(TRANSCRIPTS),
)


_LAST = 40  # events of each director that are shown where a run is not as its page shows


@dataclass(frozen=True)
class Session:
    """A page's lines, typed at the prompt of a lab: the output before it, the answers, report.json."""

    code: int
    before: str
    answers: tuple[str, ...]
    report: dict[str, Any]

    def evidence(self) -> str:
        """For the message of a failure: keeps the run's folder, and says what the directors did last."""
        folder = Path(self.report["folder"])
        kept = ROOT / "runs" / f"{folder.name}-page"
        sockets = shutil.ignore_patterns("*.sock")  # left there by a lab that was ended
        shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=sockets)
        events = (file.read_text().splitlines()[-_LAST:] for file in sorted(kept.glob("events*.jsonl")))
        return "\n".join([f"The run is kept in {kept}.", *(line for lines in events for line in lines)])


# Typed first, on each director. The client's kernel takes the port of a new connection from a sequence that
# all network namespaces with the same addresses share, and so do all labs: three thousand connections in the
# others, and a port is used again. As in the kernel, a connection of VS-TUN or VS-DR that is closing
# (FIN_WAIT) would then keep its server, and the scheduler would not be asked. 3 has it replaced.
_SCHEDULE_ALL = "{} ipvs-sysctl -w conn_reuse_mode=3"


@pytest.fixture(scope="module")
def session_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Session]:
    """Starts a page's lab (a lesson's own, otherwise lab-nat) and types its lines, once for all tests."""
    runs = tmp_path_factory.mktemp("sessions")

    @cache
    def session(page: Path) -> Session:
        lab = f"lab-{Lesson(page).method}" if page in LESSONS else "lab-nat"
        report = runs / f"{'-'.join(page.relative_to(ROOT).parts)}.json"
        first = [_SCHEDULE_ALL.format(node.name) for node in plan_of(page).topology.directors]
        lines = "\n".join([*first, *_TYPED.findall(page.read_text()), "exit", ""])
        code, shown = run_to_terminal(
            [ROOT / "inv", lab, "--cli", "--report", report], lines, {"LVS_RUNS": str(runs)}, patient(180)
        )
        before, *answers = shown.split("mininet> ")
        return Session(code, before, tuple(answers[len(first) :]), json.loads(report.read_text()))

    return session


@_EACH_PAGE
def test_what_is_typed_at_the_prompt_works(page: Path, session_of: Callable[[Path], Session]) -> None:
    typed = _TYPED.findall(page.read_text())
    if not typed:
        return
    session = session_of(page)
    answers = "".join(session.answers)
    assert session.code == 0, f"{session.before}{answers}\n{session.evidence()}"
    assert len(session.answers) > len(typed)
    assert len(answers.splitlines()) > len(typed) / 2  # a line of a loop that waits has no answer
    assert not [complaint for complaint in _COMPLAINTS if complaint in answers], answers


@_EACH_TRANSCRIPT
def test_a_lab_and_its_prompt_answer_as_a_page_shows(
    page: Path, session_of: Callable[[Path], Session]
) -> None:
    lesson, session = Lesson(page), session_of(page)
    typed = list(lesson.typed())
    assert [line.command for line in typed] == _TYPED.findall(page.read_text())
    assert missing(lesson.output(), session.before) == [], f"{session.before}\n{session.evidence()}"
    for line, answer in zip(typed, session.answers, strict=False):
        assert missing(line.shown, answer) == [], f"{line.command}\n{answer}\n{session.evidence()}"


def plan_of(page: Path) -> Plan:
    """The lab of a lesson; of other pages, lab-nat."""
    method = Lesson(page).method if page in LESSONS else "nat"
    return plan_for(method, LabOptions() if method in METHODS else HaOptions())


def test_a_lesson_shows_lines_of_the_configuration_of_its_lab() -> None:
    (page,) = (page for page in LESSONS if Lesson(page).method not in METHODS)
    rendered = configuration(f"{CONFIGURATION}.j2", host=plan_of(page).pair[0]).splitlines()
    shown = [line for fence in Lesson(page).fences("conf") for line in fence]
    assert len(shown) > 20
    assert [line for line in shown if line not in rendered] == []


@_EACH_METHOD
def test_a_lesson_shows_the_packet_table_of_a_run(page: Path, session_of: Callable[[Path], Session]) -> None:
    """With any of the real servers: the scheduler picks one for that connection."""
    lesson, plan = Lesson(page), plan_of(page)
    client = plan.nodes(Role.CLIENT)[0].interfaces[0]
    port = int(lesson.packets()[0]["source"].partition(":")[2])
    tables = [[hop.expected.as_dict() for hop in plan.hops(server, client, port)] for server in plan.servers]
    assert session_of(page).report["packets"] in tables
    for table in tables:
        for row in table:
            del row["data"]
    assert lesson.packets() in tables
    assert lesson.named_macs().items() <= plan.topology.names_of_macs.items()


@_EACH_LESSON
def test_a_lesson_shows_every_command_of_the_scripts_and_no_other(page: Path) -> None:
    """Lines of the director's script that another lab has too may be explained on that lab's page."""
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
def test_the_exercises_that_a_lesson_names_exist(page: Path) -> None:
    named = set(_EXERCISE.findall(page.read_text()))
    assert named <= set(catalogue.names())
    assert f"build-{Lesson(page).method}" in named or Lesson(page).method not in METHODS


@_EACH_PAGE
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
