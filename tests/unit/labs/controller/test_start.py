"""The command line and the choice of a framework, each in its own process."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.wait import patient

ROOT = Path(__file__).parents[4]
BROKEN = "raise ImportError('this one is not for your Python')\n"


def start(*arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labs.controller", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{path}:{ROOT}"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patient(30)
    )


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(("name", "package"), [("ryu", "ryu"), ("os-ken", "os_ken")])
def test_a_port_in_use_is_named(name: str, package: str, taken: int, tmp_path: Path) -> None:
    needs(package)
    control = tmp_path / "socket"
    done = start("--framework", name, "--port", str(taken), "--socket", str(control))
    assert done.returncode == 2
    assert f"127.0.0.1:{taken} (Address already in use)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not control.exists()


def test_auto_falls_back_to_os_ken(taken: int, tmp_path: Path) -> None:
    needs("os_ken")
    (tmp_path / "ryu").mkdir()
    (tmp_path / "ryu" / "__init__.py").write_text(BROKEN)
    done = start("--port", str(taken), "--socket", str(tmp_path / "socket"), path=str(tmp_path))
    assert "Can't listen" in done.stderr  # so it started


def test_without_either_framework_there_is_one_sentence(tmp_path: Path) -> None:
    for package in ("ryu", "os_ken"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(BROKEN)
    done = start("--socket", str(tmp_path / "socket"), path=str(tmp_path))
    assert done.returncode == 2
    reasons = [line for line in done.stderr.splitlines() if "(this one is not for your Python)" in line]
    assert [reason.split()[0] for reason in reasons] == ["ryu", "os-ken"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("--socket", "x", "--port", "0"), ("--socket", "x", "--framework", "nox")]
)
def test_wrong_options_are_refused(arguments: tuple[str, ...]) -> None:
    assert start(*arguments).returncode == 2
