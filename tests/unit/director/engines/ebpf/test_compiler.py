"""Which object file is taken, and what is said where none can be made."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from director.engines.ebpf import compiler


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a compiler that writes nothing much."""

    def make(place: Path) -> None:
        place.write_bytes(b"made")

    monkeypatch.setenv("LVS_CACHE", str(tmp_path))
    monkeypatch.setattr(compiler, "_compile", make)
    return tmp_path


def test_other_options_make_another_object(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compiler.compiled()
    assert (first.parent, compiler.compiled()) == (cache, first)
    monkeypatch.setattr(compiler, "_OPTIONS", (*compiler._OPTIONS, "-O1"))
    assert compiler.compiled() != first


def test_what_nobody_has_used_for_long_goes(cache: Path) -> None:
    month = 31 * 86400
    old, used = cache / "ebpf-old.o", cache / "ebpf-used.o"
    for path, age in ((old, month), (used, 60)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    compiler.compiled()
    assert (old.exists(), used.exists()) == (False, True)


@pytest.mark.usefixtures("cache")
def test_using_it_keeps_it() -> None:
    made = compiler.compiled()
    os.utime(made, (0, 0))
    assert compiler.compiled().stat().st_mtime > 0


def test_a_compiler_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("clang", 300)

    monkeypatch.setenv("LVS_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "clang")
    monkeypatch.setattr(Path, "exists", lambda path: path.name == "bpf_helpers.h")
    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(compiler.CannotCompile, match="within 300 s"):
        compiler.compiled()
