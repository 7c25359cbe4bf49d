"""The programs in director/bin start from anywhere, and quickly."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

import director
from director import fwmark, ippfvsadm, ipvs_sysctl
from director.control.channel import Message
from director.control.listener import Listener
from director.ipvsadm import arguments
from labs.wait import patient

BIN = Path(director.__file__).parent / "bin"
AVAILABILITY = BIN.parents[1] / "availability" / "bin"
THIS = shlex.quote(sys.executable)
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


_NOT_PROGRAMS = {"run.sh", "start.sh", "start.py", "ready.sh"}  # what programs are started by
_PROGRAMS = sorted(
    file
    for folder in (BIN, AVAILABILITY)
    for file in folder.iterdir()
    if file.is_file() and file.name not in _NOT_PROGRAMS
)


@pytest.mark.parametrize("program", _PROGRAMS, ids=lambda program: program.name)
def test_every_program_explains_itself(program: Path) -> None:
    done = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=patient(60))
    assert (done.returncode, done.stderr) == (0, "")
    assert program.name in done.stdout


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


@pytest.mark.parametrize("program", [*USAGES, "lvs-explain", "lvs-director"])
def test_a_full_disk_is_one_sentence(program: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([BIN / program, "-h"], stdout=full, stderr=subprocess.PIPE, timeout=patient(60))
    message = f"{program}: cannot write to standard output: No space left on device.\n"
    assert (done.returncode, done.stderr.decode()) == (2, message)


def test_a_full_disk_is_one_sentence_after_an_error_as_well() -> None:
    code = """if True:
        import sys
        from director.control import cli
        def work(_):
            yield "a line\\n"
            raise cli.ToolError("something else.", 1)
        sys.exit(cli.run("tool", work, []))
    """
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=BIN.parent.parent,
            env={"PATH": os.environ["PATH"]},  # PYTHONUNBUFFERED would hide it
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=patient(60),
        )
    message = "tool: cannot write to standard output: No space left on device.\n"
    assert (done.returncode, done.stderr.decode()) == (2, message)


NO_OUTPUT = "cannot write to standard output: Bad file descriptor."
NO_RULES = "cannot read the rules: Bad file descriptor."
NO_PYTHON = "was not found: install Python 3.10 or later, or name one in LVS_PYTHON."


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("ipvsadm -h >&-", 2, f"ipvsadm: {NO_OUTPUT}"),
        ("lvs-director --help >&-", 2, f"lvs-director: {NO_OUTPUT}"),
        ("ipvsadm -R <&-", 2, f"ipvsadm: {NO_RULES}"),
        ("ipvsadm -R < /", 2, f"ipvsadm: {NO_RULES}"),
        ("ipvsadm -A -t nonsense 2>&-", 2, ""),
        ("lvs-director --nonsense 2>&-", 2, ""),
        ("LVS_PYTHON=/none ipvsadm -h", 2, f"ipvsadm: /none {NO_PYTHON}"),
    ],
)
def test_a_closed_or_useless_stream_is_one_sentence(line: str, code: int, says: str) -> None:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        line, shell=True, capture_output=True, text=True, env=environment, timeout=patient(60)
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", says and f"{says}\n")


def a_python(folder: Path, line: str) -> dict[str, str]:
    """An environment in which this line of shell starts the programs that need packages."""
    python = folder / "a python"
    python.write_text(f"#!/bin/sh\n{line}\n")
    python.chmod(0o755)
    return {"LVS_PYTHON": str(python), "PATH": "/usr/bin:/bin"}


NEED_PACKAGES = [BIN / "lvs-director", AVAILABILITY / "lvs-vrrp", AVAILABILITY / "lvs-heartbeat"]


@pytest.mark.parametrize("program", [*NEED_PACKAGES, BIN / "lvs-explain"], ids=lambda program: program.name)
def test_a_program_with_packages_runs_from_anywhere(tmp_path: Path, program: Path) -> None:
    """A package named director in the working directory is not the one that runs."""
    (tmp_path / "director").mkdir()
    (tmp_path / "director" / "__init__.py").write_text("raise SystemExit('not this one')")
    link = tmp_path / f"another name for {program.name}"
    link.symlink_to(program)
    done = subprocess.run(
        [link, "--help"],
        cwd=tmp_path,
        env=a_python(tmp_path, f'exec {THIS} "$@"'),
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {program.name} ")


@pytest.mark.parametrize(
    ("python", "says"),
    [
        (
            f"exec {THIS} -c 'import sys, runpy; sys.version_info = (3, 9, 2); "
            'runpy.run_path(sys.argv.pop(1), run_name="__main__")\' "$@"',
            "Python 3.10 or later is needed, and ",
        ),
        ('exec /usr/bin/python3 -S "$@"', "/usr/bin/python3 lacks the package scapy: run "),
    ],
    ids=["too old", "without packages"],
)
@pytest.mark.parametrize("program", NEED_PACKAGES, ids=lambda program: program.name)
def test_a_wrong_python_is_one_sentence(tmp_path: Path, program: Path, python: str, says: str) -> None:
    done = subprocess.run(
        [program, "--socket", tmp_path / "control", "lo"],
        env=a_python(tmp_path, python),
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"{program.name}: {says}")
    assert done.stderr.endswith(", or name another Python in LVS_PYTHON.\n")


def test_no_python_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "lvs-director"],
        env={"LVS_PYTHON": str(tmp_path / "none"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"lvs-director: {tmp_path / 'none'} was not found: ")


@pytest.mark.parametrize("module", ["ippfvsadm", "ipvsadm", "fwmark", "ipvs_sysctl"])
def test_it_imports_nothing_of_the_core(module: str) -> None:
    """But for a constant of its package, which imports nothing."""
    slow = "('director.core.', 'dataclasses', 'argparse', 'ipaddress')"
    program = f"import sys, director.{module}; sys.exit(any(name.startswith({slow}) for name in sys.modules))"
    subprocess.run(
        [sys.executable, "-S", "-c", program], check=True, timeout=patient(60), cwd=BIN.parent.parent
    )


def test_ipvsadm_save_and_restore_are_the_directors_own(tmp_path: Path) -> None:
    """The machine's, which may lie in the same PATH, would speak to the kernel."""
    asked: list[Message] = []

    def answer(request: Message) -> Message:
        asked.append(request)
        return {"ok": True, "services": []}

    def serve() -> None:
        for _ in range(3):
            listener.serve_one()

    variables = {"LVS_SOCKET": str(tmp_path / "control"), "PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"}
    listener = Listener(variables["LVS_SOCKET"], answer)
    server = Thread(target=serve, daemon=True)
    server.start()
    for line in ("ipvsadm-save -n", "echo -A -f 1 -s rr | ipvsadm-restore"):
        done = subprocess.run(line, shell=True, env=variables, capture_output=True, timeout=patient(60))
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = subprocess.run("ipvsadm -C >&-", shell=True, env=variables, timeout=patient(60))
    assert done.returncode == 0  # it was carried out, and has nothing to print
    server.join()
    listener.close()
    save, restore, _ = asked
    assert save == {"do": "list"}
    assert restore["commands"][0]["command"] == "AddService"


def test_ipvsadm_is_a_module_too(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "director.ipvsadm", "-S"]
    nobody = {"LVS_SOCKET": str(tmp_path / "nobody.sock")}
    done = subprocess.run(
        line, cwd=BIN.parent.parent, env=nobody, capture_output=True, text=True, timeout=patient(60)
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert nobody["LVS_SOCKET"] in done.stderr
