"""The labs on a stock kernel: every check passes, including the packet tables.

With kernel IPVS as their director, and with our program, which this kernel's verifier has to accept.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from director.engines.ebpf import compiler
from director.engines.ebpf.libbpf.programs import BpfObject
from labs.wait import patient

ROOT = Path(__file__).resolve().parents[2]
# This kernel has netem.
OPTIONS = {"nat": ("--family", "6"), "tun": ("--delay", "20"), "dr": ("--loss", "0.5")}
PROGRAM = "ebpf"


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All three at once, because a lab mostly waits."""
    runs = tmp_path_factory.mktemp("runs")
    started = {method: _start(runs, method, "ipvs", *options) for method, options in OPTIONS.items()}
    yield started
    for lab in started.values():
        lab.kill()


def _start(runs: Path, method: str, engine: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "tasks.py", f"lab-{method}", "--engine", engine, *options],
        cwd=ROOT,
        env={**os.environ, "LVS_RUNS": str(runs)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("method", OPTIONS)
def test_a_lab_with_kernel_ipvs(labs: dict[str, subprocess.Popen[str]], method: str) -> None:
    output, _ = labs[method].communicate(timeout=patient(100))
    assert labs[method].returncode == 0, output
    assert "engine ipvs" in output


@pytest.mark.rest
@pytest.mark.parametrize("method", [method for method in OPTIONS if "--family" not in OPTIONS[method]])
def test_a_lab_with_kernel_ipvs_in_ipv6(tmp_path: Path, method: str) -> None:
    lab = _start(tmp_path, method, "ipvs", "--family", "6")
    output, _ = lab.communicate(timeout=patient(100))
    assert lab.returncode == 0, output
    assert "engine ipvs, IPv6" in output


@pytest.mark.rest
def test_two_directors_with_kernel_ipvs(tmp_path: Path) -> None:
    """The kernel's own daemons tell each other of connections; the director that was killed comes back."""
    lab = _start(tmp_path, "ha", "ipvs")
    output, _ = lab.communicate(timeout=patient(100))
    assert lab.returncode == 0, output
    assert "engine ipvs" in output


@pytest.mark.parametrize("family", [4, 6])
def test_this_kernels_verifier_accepts_our_program(family: int) -> None:
    BpfObject(compiler.compiled(family), {"connections": 1000}, {}).close()


@pytest.mark.parametrize("method", ["nat", "tun"])
def test_a_lab_with_our_program_on_this_kernel(tmp_path: Path, method: str) -> None:
    lab = _start(tmp_path, method, PROGRAM)
    output, _ = lab.communicate(timeout=patient(100))
    assert lab.returncode == 0, output
    assert f"engine {PROGRAM}" in output
