"""The object file: made anew when what it is made of changes, and no more of them than needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from director.engines.ebpf import compiler


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """With a clang that writes an empty object."""
    monkeypatch.setenv("LVS_CACHE", str(tmp_path))

    def clang(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        Path(command[-1]).touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", clang)
    monkeypatch.setattr(shutil, "which", lambda _name, **_path: "/usr/bin/clang")
    monkeypatch.setattr(compiler, "_HEADER", tmp_path)
    return tmp_path


def test_other_options_make_another_object(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiler.compiled()
    assert compiler.compiled() == before
    monkeypatch.setattr(compiler, "_OPTIONS", ("-O1",))
    assert compiler.compiled() != before


def test_those_that_were_used_last_are_kept(cache: Path) -> None:
    for age in range(1, 9):
        path = cache / f"ebpf-{age}.o"
        path.touch()
        os.utime(path, (0, 1000 - age))
    (cache / "kernel").touch()
    new = compiler.compiled()
    assert {path.name for path in cache.iterdir()} == {new.name, "ebpf-1.o", "ebpf-2.o", "ebpf-3.o", "kernel"}


def test_a_compiler_that_does_not_come_to_an_end(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def clang(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", clang)
    with pytest.raises(compiler.CannotCompile, match="try again"):
        compiler.compiled()
    assert not list(cache.iterdir())


def test_a_cache_that_can_not_be_made(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    (cache / "file").touch()
    monkeypatch.setenv("LVS_CACHE", str(cache / "file" / "cache"))
    with pytest.raises(compiler.CannotCompile, match="LVS_CACHE"):
        compiler.compiled()
