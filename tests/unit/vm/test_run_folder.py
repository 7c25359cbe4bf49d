"""A run's folder is removed at its end, or at the start of the next run if it was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from labs.wait import poll_until
from vm import run_folder as module
from vm.run_folder import run_folder


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_CACHE", str(tmp_path / "cache"))


def folders(tmp_path: Path) -> set[Path]:
    return set((tmp_path / "cache").glob("run-*"))


def killed_in_its_folder(tmp_path: Path) -> Path:
    """The folder of a run that was killed."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException), run_folder() as folder:
            (folder / "big").write_text("left")
            time.sleep(600)
        os._exit(0)
    (file,) = poll_until(lambda: list((tmp_path / "cache").glob("run-*/big")), bool, 20)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return file.parent


def test_the_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    with run_folder() as folder:
        assert folders(tmp_path) == {folder}
    assert not folders(tmp_path)


def test_a_killed_run_leaves_nothing(tmp_path: Path) -> None:
    left = killed_in_its_folder(tmp_path)
    assert not poll_until(left.exists, lambda there: not there, 10)


def test_the_next_run_removes_what_a_killed_one_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMOVE", "exit")
    left = killed_in_its_folder(tmp_path)
    assert left.exists()
    with run_folder() as folder:
        assert folders(tmp_path) == {folder}


def test_a_folder_without_a_lock_is_removed_too(tmp_path: Path) -> None:
    (tmp_path / "cache" / "run-old" / "tmp").mkdir(parents=True)
    with run_folder() as folder:
        assert folders(tmp_path) == {folder}


def test_a_folder_in_use_stays(tmp_path: Path) -> None:
    with run_folder() as folder:
        with run_folder() as other:
            assert folders(tmp_path) == {folder, other}
        assert folders(tmp_path) == {folder}
