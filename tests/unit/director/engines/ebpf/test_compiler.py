"""The cache of object files: compiled again when sources or options change, pruned to a few."""

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
    """An empty cache, and a clang that writes an empty object file."""
    monkeypatch.setenv("LVS_CACHE", str(tmp_path))

    def clang(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        Path(command[-1]).touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", clang)
    monkeypatch.setattr(shutil, "which", lambda _name, **_path: "/usr/bin/clang")
    monkeypatch.setattr(compiler, "_HEADER", tmp_path)
    return tmp_path


def test_other_options_compile_another_object(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiler.compiled(4)
    assert compiler.compiled(4) == before
    assert compiler.compiled(6) != before
    monkeypatch.setattr(compiler, "_OPTIONS", ("-O1",))
    assert compiler.compiled(4) != before


def test_only_the_most_recently_used_objects_are_kept(cache: Path) -> None:
    for age in range(1, 13):
        path = cache / f"ebpf-{age}.o"
        path.touch()
        os.utime(path, (0, 1000 - age))
    (cache / "kernel").touch()
    new = compiler.compiled(4)
    kept = {f"ebpf-{age}.o" for age in range(1, 8)}
    assert {path.name for path in cache.iterdir()} == {new.name, *kept, "kernel"}


def test_a_compiler_that_hangs(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def clang(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", clang)
    with pytest.raises(compiler.CannotCompile, match="try again"):
        compiler.compiled(4)
    assert not list(cache.iterdir())


def test_a_cache_that_cannot_be_created(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    (cache / "file").touch()
    monkeypatch.setenv("LVS_CACHE", str(cache / "file" / "cache"))
    with pytest.raises(compiler.CannotCompile, match="LVS_CACHE"):
        compiler.compiled(4)
