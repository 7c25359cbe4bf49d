"""./inv vm and ./inv vm-test: what runs in the machine, for how long, and where its results go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from labs import evidence
from labs.errors import BadRequest
from oracle.generate import SEED
from oracle.recordings import FOLDER as RECORDINGS
from vm.kernel import cache, ready
from vm.machine import ROOT, Machine

LONGEST = 3600.0  # seconds for a task
SUITE = 2400.0  # seconds for the tests, which take half of that on two processors
_NEEDED = ("ip_vs", "ipip")  # what a kernel must have to be its own oracle
_RECORDING = "tests/vm/test_oracle.py::test_the_recording_holds"
_MORE = "tests/vm/test_oracle.py::test_more_of_them"
_ELSEWHERE = "not scapy and not ebpf"  # these engines need no IPVS: `./inv test` tries them
# Those in tests/labs run over every engine.
_TESTS = ("tests/vm", "tests/labs/test_oracle_live.py", "tests/labs/test_director_features.py")


def run_task(words: Sequence[str], *, shell: bool, seconds: float = LONGEST) -> int:
    """Run a task of ./inv in the machine, or a shell; its exit code. Raises LabError."""
    if not words and not shell:
        raise BadRequest("./inv vm needs a task, such as ./inv vm lab-nat, or --shell.")
    if words[:1] and words[0].startswith("vm"):
        raise BadRequest(f"{words[0]} can't run in the machine: it would start another one.")
    machine = Machine(ready(_say))
    with _results() as folder:
        if shell:
            return machine.shell(folder)
        runs, kept = folder / "runs", folder / "kept"
        runs.mkdir()
        command = [sys.executable, str(ROOT / "tasks.py"), *words]
        places = {"LVS_RUNS": str(runs), "LVS_KEPT": str(kept)}
        return machine.run(command, folder, seconds, places)


def run_suite(
    chosen: str = "",
    *,
    more: int = 0,
    seed: int = SEED,
    record: bool = False,
    minutes: int = 0,
    here: bool | None = None,
) -> int:
    """Run the tests that compare, in this kernel if it has IPVS or else in the machine; pytest's exit code.

    `more` scenarios for each method and scheduler are made with `seed`; `record` replaces the recordings.
    After `minutes`, if any, no further test begins.
    """
    wanted = f"({chosen}) and {_ELSEWHERE}" if chosen else _ELSEWHERE
    tests = (_RECORDING,) if record else (_MORE,) if more else _TESTS
    command = [sys.executable, "-m", "pytest", *tests, "-k", wanted, "-p", "no:cacheprovider"]
    command += [
        f"--timeout={SUITE:.0f}",
        "-rs",
        "-p",
        "vm.budget",
    ]  # a test may be slow; all together may not
    with _results() as folder:
        recorded = {"LVS_RECORD": str(folder)} if record else {}
        asked = {"LVS_MORE": str(more), "LVS_SEED": str(seed), **recorded}
        if minutes:
            asked["LVS_MINUTES"] = str(minutes)  # for vm/budget.py
        code = _compare(command, folder, asked, here=here)
        if record and code == 0:
            for recording in folder.glob("*.json.xz"):
                _say(f"Recorded: {shutil.move(str(recording), str(RECORDINGS / recording.name))}")
        return code


def replay(scenario: str, *, here: bool | None = None) -> int:
    """Play one scenario on both directors, and print what each does."""
    with _results() as folder:
        return _compare([sys.executable, "-m", "oracle.replay", scenario], folder, {}, here=here)


def _compare(command: list[str], folder: Path, environment: Mapping[str, str], *, here: bool | None) -> int:
    """Run a command where kernel IPVS is."""
    if here is None:
        here = os.geteuid() == 0 and all(_has_module(name) for name in _NEEDED)
    if here:
        _say("This kernel has IPVS: no other one is needed.")
        return subprocess.run(command, env={**os.environ, **environment}, cwd=ROOT, check=False).returncode
    machine = Machine(ready(_say))
    _say("Booting a stock kernel; without KVM, everything in it takes 20 to 30 times as long")
    return machine.run(command, folder, SUITE, {**environment, "LVS_RUNS": str(folder)})


def _has_module(name: str) -> bool:
    subprocess.run(["modprobe", "--quiet", name], check=False)
    return Path("/sys/module", name).exists()


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def _results() -> Iterator[Path]:
    """A folder that the machine can write to; the runs of labs in it are kept with the others."""
    cache().mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="run-", dir=cache()))
    try:
        yield folder
    finally:
        for kind, place in {"runs": evidence.runs(), "kept": evidence.kept()}.items():
            for found in folder.glob(f"{kind}/*"):
                _say(f"Kept here: {shutil.copytree(found, place / found.name, dirs_exist_ok=True)}")
        shutil.rmtree(folder)
