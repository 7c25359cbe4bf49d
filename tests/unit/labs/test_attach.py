"""Which of the labs that run is meant, and what is said where none can be told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from classroom.command import attached
from director.control.listener import Listener
from labs import attach
from labs.attach import Attached, pick
from labs.desk import SOCKET, socket_in
from labs.errors import BadRequest, Unable


def lab(folder: str, **who: Any) -> Attached:
    return Attached(Path("/runs", folder), {"hosts": {}, **who})


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
def test_which_is_meant(running: list[Attached], student: str, name: str, meant: Attached | None) -> None:
    assert pick(running, student, name) == meant


def test_labs_without_students_are_told_apart_by_lab() -> None:
    with pytest.raises(BadRequest, match=r"\(lab-nat, lab-dr\).*--lab nat\.") as told:
        pick([NAT, DR])
    assert "--student" not in str(told.value)


def test_labs_of_one_kind_are_told_apart_by_their_folders() -> None:
    with pytest.raises(BadRequest, match=r"lab-nat in 5, lab-nat in 1-lab-nat.*--lab 5\."):
        pick([lab("5", lab="lab-nat"), NAT])


def test_students_are_told_apart_by_either() -> None:
    with pytest.raises(BadRequest, match=r"e04 of ada, e09 of bob.*--student or --lab.*--lab e04\."):
        pick([ADA, BOB])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a run, with somebody at its desk."""
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))
    folder = tmp_path / "1-lab-nat"
    folder.mkdir()
    with socket_in(folder) as path:
        listener = Listener(path, lambda _request: {"ok": True, "lab": "lab-nat", "hosts": {}})

    def serve() -> None:
        for _ in range(9):
            listener.serve_one()

    threading.Thread(target=serve, daemon=True).start()
    yield folder
    (folder / SOCKET).unlink()


def test_a_lab_that_runs_is_found(desk: Path) -> None:
    assert [one.folder for one in attach.running()] == [desk]
    assert attached("", "nat", exercise=False).folder == desk


def test_somebody_elses_lab_is_told_as_such(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda _path, _how: False)
    assert list(attach.running()) == []
    with pytest.raises(Unable, match=rf"{desk} is somebody else's.*sudo"):
        attached()
