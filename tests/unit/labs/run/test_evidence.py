from __future__ import annotations

import json
import os
from pathlib import Path
from stat import S_IMODE

import pytest

from labs.run import evidence as module
from labs.run.evidence import Evidence
from realserver_setup.apply import Result


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_two_runs_in_one_second_have_two_folders(runs: Path) -> None:
    first, second = Evidence("lab-nat"), Evidence("lab-nat")
    assert first.folder != second.folder
    assert {first.folder.parent, second.folder.parent} == {runs}


@pytest.mark.usefixtures("runs")
def test_commands_are_recorded_with_exit_code_and_output() -> None:
    evidence = Evidence("lab-nat")
    evidence.command("c1", ["curl", "x"], None, Result(7, "out", "err"))
    evidence.command("d", ["sh"], "echo", Result(0, "", ""))
    lines = [json.loads(line) for line in (evidence.folder / "commands.jsonl").read_text().splitlines()]
    assert lines == [
        {"host": "c1", "command": ["curl", "x"], "exit": 7, "stdout": "out", "stderr": "err"},
        {"host": "d", "command": ["sh"], "exit": 0, "stdout": "", "stderr": "", "input": "echo"},
    ]


def test_a_run_is_private_unless_lvs_runs_is_set(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o027)
    try:
        assert S_IMODE(Evidence("lab-nat").folder.stat().st_mode) == 0o750
        monkeypatch.delenv("LVS_RUNS")
        monkeypatch.setattr(module, "_ROOT", tmp_path / "checkout")
        (tmp_path / "checkout").mkdir()
        folder = Evidence("lab-nat").folder
        assert folder.parent == tmp_path / "checkout" / "runs" != runs
        assert S_IMODE(folder.stat().st_mode) == 0o700
        assert S_IMODE(folder.parent.stat().st_mode) == 0o750
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_everything_belongs_to_the_owner_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LVS_RUNS", raising=False)
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    os.chown(tmp_path, 12345, 12345)
    evidence = Evidence("lab-nat")
    evidence.command("c1", ["true"], None, Result(0, "", ""))
    evidence.close()
    paths = [tmp_path / "runs", evidence.folder, *evidence.folder.rglob("*")]
    assert len(paths) > 5
    assert {path.stat().st_uid for path in paths} == {12345}
