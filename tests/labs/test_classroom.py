"""A class: exercises are started, examined, checked, repaired, handed in and marked; and broken further."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from classroom import catalogue
from classroom.model import Variant
from classroom.variants import variant_for
from labs.wait import patient, poll_until
from tests.labs.forked import run_forked
from tests.labs.support import FROM_CHECKOUT

ROOT = Path(__file__).resolve().parents[2]
UP = 60  # seconds until an exercise has begun; eight on an idle machine
NAME = "e04"
EXAMPLE = "example"  # the student of docs/exercises.md


@dataclass
class Class:
    """The commands of ./inv, by default this checkout's, with its own folder of runs."""

    folder: Path
    checkout: Path = ROOT
    in_forks: bool = False  # start commands of this checkout in forks, where the typing is not the subject
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.environment = {**os.environ, "LVS_RUNS": str(self.folder / "runs")}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(self.checkout / "tasks.py"), "--search-root", str(self.checkout), *words]

    def inv(self, *words: str) -> subprocess.CompletedProcess[str]:
        if self.in_forks:
            program, *arguments = self.command(*words)[1:]
            environment = {**FROM_CHECKOUT, **self.environment}
            return run_forked(Path(program), arguments, environment, 100, folder=self.folder)
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patient(100),
        )

    @contextmanager
    def playing(self, name: str, student: str) -> Iterator[subprocess.Popen[bytes]]:
        """An exercise that has begun; it ends with the block."""
        log = self.folder / f"{name}-{student}.out"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command("exercise", name, "--student", student),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            begun = poll_until(
                lambda: "has begun" in log.read_text(), lambda yes: yes or process.poll() is not None, UP
            )
            assert begun, log.read_text()
            yield process
        finally:
            process.terminate()
            process.wait(patient(30))

    def mend(self, variant: Variant) -> None:
        """Type the solution in shells on the hosts, as a student does."""
        for step in catalogue.solutions(variant.exercise)[variant.number or 0].repairs:
            for host in variant.hosts(step.on):
                for command in step.commands:
                    done = self.inv(
                        *("shell", host, "--student", variant.student, "--command", variant.filled(command))
                    )
                    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def school(tmp_path: Path) -> Class:
    return Class(tmp_path)


@pytest.fixture
def quick_school(tmp_path: Path) -> Class:
    return Class(tmp_path, in_forks=True)


def test_from_the_symptom_to_the_mark(school: Class) -> None:
    variant = variant_for(NAME, "ada")
    solution = catalogue.solutions(NAME)[variant.number or 0]
    diagnosis = ("--host", variant.server, "--cause", solution.cause, "--evidence", solution.evidence[0])
    with school.playing(NAME, "ada"):
        check = school.inv("check")
        assert check.returncode == 1, check.stdout + check.stderr
        assert "NOT YET" in check.stdout
        assert "ETIMEDOUT" in check.stdout  # what was seen, not just that it failed
        assert "Hint 1 of" in school.inv("hint").stdout
        assert "Hint 2" not in school.inv("hint", "--again").stdout
        school.mend(variant)
        check = school.inv("check")
        assert (check.returncode, "PASSED" in check.stdout) == (0, True), check.stdout + check.stderr
        assert school.inv("submit").returncode == 2  # the form is empty, and nobody can be asked
        refused = school.inv("submit", "--host", "rs99", "--cause", solution.cause, "--evidence", "routes")
        assert (refused.returncode, "rs99" in refused.stderr) == (2, True)
        assert not list(school.folder.glob("*.lvs"))
        submitted = school.inv("submit", *diagnosis)
        assert submitted.returncode == 0, submitted.stderr
        assert "PRACTICE KEY" in submitted.stdout
        assert re.search(r"^checks +3 of 3 pass now$", submitted.stdout, re.MULTILINE)
        status = school.inv("status")
        assert re.search(r"\| e04 \| ada .* \| 3 of 3, \d+ s ago \| 1 of 3 \| ", status.stdout), status.stdout
    graded = school.inv("grade", str(school.folder))
    assert graded.returncode == 0, graded.stdout + graded.stderr
    line = next(
        line for line in (school.folder / "grades" / "class.csv").read_text().splitlines() if "ada" in line
    )
    assert "100" in line


def test_a_shell_returns_the_commands_exit_code_until_the_terminal_is_closed(school: Class) -> None:
    with school.playing(NAME, "ada") as process:
        assert (
            school.inv("shell", "rs1", "--command", "cd 1999; ls | grep -q realserver && exit 7").returncode
            == 7
        )
        listed = school.inv("shell", "d", "--command", "ippfvsadm -L")
        assert (listed.returncode, variant_for(NAME, "ada").addresses.vip in listed.stdout) == (0, True)
        assert "realserver.sh" in school.inv("shell", "rs1", "--command", "ls 1999").stdout
        unknown = school.inv("shell", "rs99")
        assert (unknown.returncode, "rs1" in unknown.stderr) == (2, True)
        process.send_signal(signal.SIGHUP)  # as a terminal does
        process.wait(patient(30))
        check = school.inv("check")
    assert check.returncode == 2
    assert "./inv exercise e04 --student ada" in check.stderr


_TYPED = re.compile(r"^\$ (.*)$", re.MULTILINE)


def typed(page: str) -> list[str]:
    """The lines of a page of docs/ to be typed outside a lab."""
    return _TYPED.findall((ROOT / "docs" / page).read_text())


def test_a_class_that_follows_the_pages(school: Class) -> None:
    """docs/teaching.md line by line; in between, students follow docs/exercises.md from the archive."""
    (school.folder / "inv").write_text(f'#!/bin/sh\nexec {shlex.join(school.command())} "$@"\n')
    (school.folder / "inv").chmod(0o755)
    for line in typed("teaching.md"):
        if line.startswith("./inv grade handed-in"):
            _students_hand_in(school)
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=school.folder,
            env=school.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patient(100),
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    grades = school.folder / "handed-in" / "grades"
    assert {file.name for file in grades.glob("*.*")} == {"class.csv", "junit.xml"}
    assert {file.name for file in (grades / f"{NAME}-{EXAMPLE}").iterdir()} == {
        *("report.txt", "report.html", "results.json")
    }


def _students_hand_in(school: Class) -> None:
    with tarfile.open(school.folder / "lvs-lab-students.tar.gz") as archive:
        archive.extractall(school.folder / "student")
    student = Class(school.folder, school.folder / "student" / "lvs-lab")
    lines = [shlex.split(line)[1:] for line in typed("exercises.md") if line.startswith("./inv")]
    begin = next(words for words in lines if words[0] == "exercise")
    assert begin == ["exercise", NAME, "--student", EXAMPLE]
    variant = variant_for(NAME, EXAMPLE)
    solution = catalogue.solutions(NAME)[variant.number or 0]
    # The page names none of them.
    meant = {"HOST": variant.server, "CAUSE": solution.cause, "EVIDENCE": solution.evidence[0]}
    with student.playing(NAME, EXAMPLE):
        for line in lines:
            words = [meant.get(word, word) for word in line]
            if words != begin:
                done = student.inv(*words)
                assert done.returncode == (words[0] == "check"), (words, done.stdout, done.stderr)
    (school.folder / "handed-in").mkdir()
    file = f"{NAME}-{EXAMPLE}.lvs"
    (school.folder / file).rename(school.folder / "handed-in" / file)


BREAKS = [  # what happens, on which host, by which command, and what repairs it
    ("a script is renamed", "d", "mv rules.sh other.sh", "mv other.sh rules.sh"),
    ("all routes of a server are gone", "rs1", "ip route flush table main", "sh 1999/realserver.sh"),
    ("all routes of the director are gone", "d", "ip route flush table main", "sh 1999/director.sh"),
    ("the director's interface is down", "d", "ip link set d-eth0 down", "sh 1999/director.sh"),
    ("the client has no address", "c1", "ip addr flush dev c1-eth0", "sh 1999/client.sh"),
    ("the way to the controller is gone", "d", "ip link set lo down", "ip link set lo up"),
]
SMALL = (
    'sed "s/--method/--conn-limit 1 --method/" start.sh > small.sh; setsid sh small.sh > log 2>&1 & '
    "until sh rules.sh; do sleep 0.1; done"
)


def test_check_answers_whatever_is_broken(quick_school: Class) -> None:
    """One break after the other, each repaired before the next; the last two need a new director."""
    school = quick_school
    with school.playing(NAME, "ada"):
        before = passed(school.inv("check"))
        for what, host, command, repair in BREAKS:
            _break(school, what, host, command)
            assert school.inv("shell", host, "--command", f"sh -c '{repair}'").returncode == 0, what
        assert passed(school.inv("check")) == before
        _break(school, "the director is killed", "d", "pkill -9 -f [-]-method")
        _break(school, "the connection table is full", "d", SMALL)
        assert len(school.inv("shell", "d", "--command", "ipvsadm -Lcn").stdout.splitlines()) == 2 + 1


def _break(school: Class, what: str, host: str, command: str) -> None:
    done = school.inv("shell", host, "--command", f"sh -c '{command}'")
    assert done.returncode == 0, (what, done.stdout + done.stderr)
    check = school.inv("check")
    assert (check.returncode, len(passed(check))) == (1, 1), (what, check.stdout + check.stderr)


def passed(check: subprocess.CompletedProcess[str]) -> list[str]:
    """The number of checks that passed, as printed."""
    return re.findall(r"(\d) of 3 checks", check.stdout)


def test_two_students_do_not_interfere(quick_school: Class) -> None:
    school = quick_school
    with school.playing(NAME, "ada"), school.playing(NAME, "bob"):
        which = school.inv("check")
        assert (which.returncode, "ada" in which.stderr, "bob" in which.stderr) == (2, True, True)
        again = school.inv("exercise", NAME, "--student", "bob")
        assert (again.returncode, "already" in again.stderr) == (2, True)
        school.mend(variant_for(NAME, "bob"))
        assert school.inv("check", "--student", "bob").returncode == 0
        assert school.inv("check", "--student", "ada").returncode == 1


def test_a_reset_exercise_is_as_it_was_at_first(quick_school: Class) -> None:
    school = quick_school

    def scripts() -> dict[str, str]:
        return {str(file.relative_to(run)): file.read_text() for file in (run / "scripts").rglob("*.sh")}

    with school.playing(NAME, "ada"):
        [run] = (school.folder / "runs").iterdir()
        before = scripts()
        assert before
        assert "Hint 1" in school.inv("hint").stdout
        school.mend(variant_for(NAME, "ada"))
        assert school.inv("shell", "rs1", "--command", "rm -r 1999").returncode == 0
        done = school.inv("reset")
        assert done.returncode == 0, done.stderr
        assert scripts() == before
        assert school.inv("check").returncode == 1  # the fault is back
        assert "Hint 2" in school.inv("hint").stdout
        assert not (run / "before-reset-1" / "scripts" / "rs1" / "1999").exists()
        school.mend(variant_for(NAME, "ada"))
        known = variant_for(NAME, "ada").server
        words = ("--host", known, "--cause", "vip_missing", "--evidence", "unknown")
        assert school.inv("submit", *words).returncode == 0
    assert "No lab is running" in school.inv("status").stdout
    graded = school.inv("grade", str(school.folder))
    assert (graded.returncode, "95" in graded.stdout) == (0, True), graded.stdout + graded.stderr


NONSENSE: list[tuple[tuple[str, ...], str]] = [
    (("exercise", "e99"), "choose from"),
    (("exercise", NAME, "--student", "../x"), "--student"),
    (("check",), "start one with"),
    (("submit",), "start one with"),
    (("submit", "--cause", "foo"), "start one with"),
    (("reset",), "start one with"),
    (("shell", "rs1"), "start one with"),
    (("hint", "--student", "nobody"), "start one with"),
    (("grade", "no-such-folder"), "no-such-folder"),
]


@pytest.mark.parametrize(("words", "says"), NONSENSE, ids=[" ".join(words) for words, _ in NONSENSE])
def test_invalid_commands_end_with_2_and_a_sentence(school: Class, words: tuple[str, ...], says: str) -> None:
    done = school.inv(*words)
    assert (done.returncode, says in done.stderr) == (2, True), done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
