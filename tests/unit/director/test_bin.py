"""The programs in director/bin: they start from anywhere, and soon."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import director
from director import fwmark, ippfvsadm, ipvs_sysctl
from director.ipvsadm import arguments
from labs.wait import patient

BIN = Path(director.__file__).parent / "bin"
USAGES = {
    "ippfvsadm": ippfvsadm.USAGE,
    "ipvsadm": arguments.USAGE,
    "fwmark": fwmark.USAGE,
    "ipvs-sysctl": ipvs_sysctl.USAGE,
}


@pytest.mark.parametrize("program", USAGES)
def test_a_program_runs_from_anywhere(tmp_path: Path, program: str) -> None:
    link = tmp_path / f"another name for {program}"
    link.symlink_to(BIN / program)
    done = subprocess.run([link, "-h"], cwd="/", capture_output=True, text=True, timeout=patient(60))
    assert (done.returncode, done.stdout, done.stderr) == (0, USAGES[program], "")


def test_a_program_passes_on_its_words_and_its_exit_code(tmp_path: Path) -> None:
    line = [str(BIN / "ipvsadm"), "-A", "-t", "$HOME 'a\" b"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=patient(60))
    assert (done.returncode, done.stdout) == (2, "")
    assert repr(line[-1]) in done.stderr


def test_a_reader_may_stop_early() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([BIN / "ipvsadm", "-h"], stdout=writer, stderr=subprocess.PIPE, timeout=patient(60))
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("module", ["ippfvsadm", "ipvsadm", "fwmark", "ipvs_sysctl"])
def test_it_imports_nothing_of_the_core(module: str) -> None:
    slow = "{'director.core', 'dataclasses', 'argparse', 'ipaddress'}"
    program = f"import sys, director.{module}; sys.exit(bool({slow} & set(sys.modules)))"
    subprocess.run(
        [sys.executable, "-S", "-c", program], check=True, timeout=patient(60), cwd=BIN.parent.parent
    )


def test_ipvsadm_is_a_module_too(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "director.ipvsadm", "-S"]
    nobody = {"LVS_SOCKET": str(tmp_path / "nobody.sock")}
    done = subprocess.run(
        line, cwd=BIN.parent.parent, env=nobody, capture_output=True, text=True, timeout=patient(60)
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert nobody["LVS_SOCKET"] in done.stderr
