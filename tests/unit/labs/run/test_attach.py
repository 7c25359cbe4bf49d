"""Which running lab is meant, and the message if that is not clear."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import labs.run.control_server
from classroom import command
from classroom.attached import attached
from doctor import command as doctor_command
from labs.errors import BadRequest, BuildFailed, Unable
from labs.run import attach
from labs.run.attach import AttachedLab, pick
from labs.wait import patient

ROOT = Path(__file__).resolve().parents[4]


def lab(folder: str, **who: Any) -> AttachedLab:
    return AttachedLab(Path("/runs", folder), who, first_pid=0)


NAT = lab("1-lab-nat", lab="lab-nat")
DR = lab("2-lab-dr", lab="lab-dr")
ADA = lab("3-exercise-e04", lab="lab-dr", exercise="e04", student="ada")
BOB = lab("4-exercise-e09", lab="lab-tun", exercise="e09", student="bob")


@pytest.mark.parametrize(
    ("running", "student", "name", "meant"),
    [
        pytest.param([NAT], "", "", NAT, id="the only one"),
        pytest.param([], "", "", None, id="none"),
        pytest.param([NAT, DR], "", "nat", NAT, id="by its method"),
        pytest.param([NAT, DR], "", "lab-dr", DR, id="by its name"),
        pytest.param([NAT, lab("5-lab-nat", lab="lab-nat")], "", "1-lab-nat", NAT, id="by its folder"),
        pytest.param([NAT, ADA, BOB], "", "e04", ADA, id="by its exercise"),
        pytest.param([NAT, ADA, BOB], "bob", "", BOB, id="by its student"),
        pytest.param([NAT, ADA], "bob", "", None, id="none of this student"),
        pytest.param([NAT, DR], "", "tun", None, id="none of this name"),
    ],
)
def test_which_lab_is_meant(
    running: list[AttachedLab], student: str, name: str, meant: AttachedLab | None
) -> None:
    assert pick(running, student, name) == meant


def test_labs_without_students_are_distinguished_by_lab() -> None:
    with pytest.raises(BadRequest, match=r"\(lab-nat, lab-dr\).*--lab nat\.") as error:
        pick([NAT, DR])
    assert "--student" not in str(error.value)


def test_labs_of_one_kind_are_distinguished_by_folder() -> None:
    with pytest.raises(BadRequest, match=r"lab-nat in 5, lab-nat in 1-lab-nat.*--lab 5\."):
        pick([lab("5", lab="lab-nat"), NAT])


def test_students_are_distinguished_by_student_or_lab() -> None:
    with pytest.raises(BadRequest, match=r"e04 of ada, e09 of bob.*--student or --lab.*--lab e04\."):
        pick([ADA, BOB])


class ControlServer:
    """A control server in a process of its own, which answers everything with {"ok": true}."""

    def __init__(self, runs: Path, name: str, **about: str) -> None:
        self.folder = runs / name
        self.folder.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AT_A_DESK, str(self.folder), json.dumps(about)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        self.process.stdout.readline()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


_AT_A_DESK = """
import json, sys
from pathlib import Path
from labs.run.control_server import ControlServer
control_server = ControlServer(Path(sys.argv[1]), **json.loads(sys.argv[2]))
print(flush=True)
control_server._answers = {"check": lambda _request: {}}
control_server._serve()
"""


@pytest.fixture
def control_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlServer]:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))
    there = ControlServer(tmp_path, "1-exercise-e04", lab="lab-dr", exercise="e04", student="ada")
    yield there
    there.end()


def test_a_running_lab_is_found(control_server: ControlServer) -> None:
    [found] = attach.running_labs()
    assert (found.folder, found.first_pid, str(found)) == (
        control_server.folder,
        control_server.process.pid,
        "e04 of ada",
    )
    assert attached("", "e04").ask("check") == {"ok": True}


def test_another_users_lab_is_named(control_server: ControlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attach, "_first_process", lambda _folder: None)  # it may not be connected to
    monkeypatch.setattr("os.access", lambda _path, _how: False)
    assert list(attach.running_labs()) == []
    with pytest.raises(Unable, match=rf"{control_server.folder} belongs to another user.*sudo"):
        attached()


def test_a_suspended_lab_is_reported_at_once(control_server: ControlServer) -> None:
    control_server.stop()
    for look in (attached, lambda: attached("ada"), lambda: command.exercise("e04", "ada")):
        with pytest.raises(Unable, match=r"e04 of ada is suspended: type fg in its terminal\."):
            look()


def test_a_lab_that_is_suspended_during_a_request(control_server: ControlServer) -> None:
    lab = attached()
    control_server.stop()
    began = time.monotonic()
    with pytest.raises(Unable, match="is suspended"):
        lab.ask("check")
    assert time.monotonic() - began < patient(30)


def test_an_unknown_name_lists_the_running_labs(control_server: ControlServer) -> None:
    assert control_server.folder.exists()
    for student, called, kind in (("", "e99", True), ("bob", "", True), ("", "tun", False)):
        with pytest.raises(Unable, match=r"^No (exercise|lab) .* is running; running: e04 of ada\.$"):
            attached(student, called, exercise=kind)
    with pytest.raises(Unable, match=r"^No lab called 'e99' is running; running: e04 of ada: "):
        doctor_command.doctor(lab="e99")


def test_an_ended_exercise_comes_with_the_command_that_restarts_it(control_server: ControlServer) -> None:
    found = attached()
    control_server.end()
    again = r"the last one has ended .*; \./inv exercise e04 --student ada starts it again\.$"
    with pytest.raises(Unable, match=f"^No exercise is running: {again}"):
        attached()
    with pytest.raises(BuildFailed, match=r"^e04 of ada has ended"):
        found.ask("check")


def test_without_any_run_the_message_says_how_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))
    with pytest.raises(Unable, match=r"^No exercise of bob is running: start one with \./inv exercise"):
        attached("bob")
    with pytest.raises(Unable, match=r"^No lab is running: start one with .*, or \./inv lab-nat --cli\.$"):
        attached(exercise=False)


def test_a_request_waits_until_the_lab_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))
    there = labs.run.control_server.ControlServer(tmp_path, lab="lab-dr", exercise="e04", student="ada")
    lab = AttachedLab(tmp_path, {"lab": "lab-dr"}, first_pid=os.getpid())
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(lab.ask("check")))
    asking.start()
    running = SimpleNamespace(network=SimpleNamespace(hosts={}))
    there.open(running, {"check": lambda _request: {"seen": 1}})  # type: ignore[arg-type]
    asking.join()
    assert answers == [{"ok": True, "seen": 1}]
