"""./inv vm and ./inv vm-test: what runs in the machine, for how long, and where its results go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from labs.errors import BadRequest, LabError
from labs.run import evidence
from oracle import recordings
from oracle.generate import SEED
from vm import results
from vm.budget import GRACE
from vm.folders import run_folder
from vm.kernel import ready
from vm.machine import ROOT, Machine

LONGEST = 3600.0  # seconds for a task
SUITE = 7200.0  # seconds for the tests where no minutes are given: six times what they take on two processors
_SUMMARY = 180.0  # seconds to collect the tests and to sum up
_NEEDED = ("ip_vs", "ipip")  # what a kernel must have to be its own oracle
_RECORDING = "tests/vm/test_oracle.py::test_the_recording_holds"
_MORE = "tests/vm/test_oracle.py::test_more_of_them"
_ELSEWHERE = "not scapy and not ebpf"  # these engines need no IPVS: `./inv test` tries them
# Those in tests/labs run over every engine.
_TESTS = ("tests/vm", "tests/labs/test_oracle_live.py", "tests/labs/test_director_features.py")


def run_task(words: Sequence[str], *, shell: bool, series: str = "", seconds: float = LONGEST) -> int:
    """Run a task of ./inv in the machine, or a shell; its exit code. Raises LabError.

    `series` is that of the kernel to boot, if not this distribution's (vm/kernel.py).
    """
    if not words and not shell:
        raise BadRequest("./inv vm needs a task, such as ./inv vm lab-nat, or --shell.")
    if words[:1] and words[0].startswith("vm"):
        raise BadRequest(f"{words[0]} can't run in the machine: it would start another one.")
    machine = Machine(ready(_say, series))
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
    force: bool = False,
    minutes: int = 0,
    series: str = "",
    here: bool | None = None,
) -> int:
    """Run the tests that compare, in this kernel if it has IPVS or else in the machine; pytest's exit code.

    `more` scenarios for each method and scheduler are made with `seed`; `record` renews the recordings of
    what has changed, with `force` all of them. No test begins that can't end within `minutes`, if any.
    With the `series` of a kernel (vm/kernel.py) it is that one which is asked, whatever this one has.
    """
    if minutes < 0 or more < 0:
        raise BadRequest("--minutes and --more take a number of 1 or more.")
    if force and not record:
        raise BadRequest("--force is about recordings: say --record --force.")
    machine = _machine(series, here=here)
    changed = _changed(machine.kernel.release if machine else os.uname().release, every=force)
    if record and not changed:
        _say("Nothing has changed since the recordings were made: to make them again, add --force.")
        return 0
    wanted = f"({chosen}) and {_ELSEWHERE}" if chosen else _ELSEWHERE
    tests = (_RECORDING,) if record else (_MORE,) if more else _TESTS
    command = [sys.executable, "-m", "pytest", *tests, "-k", wanted, "-p", "no:cacheprovider", "-v", "-rfEs"]
    command += ["-p", "vm.budget", f"--timeout={SUITE:.0f}", "--durations=20"]
    if not more:
        command.append(f"--deselect={_MORE}")
    with _results() as folder:
        asked = {"LVS_MORE": str(more), "LVS_SEED": str(seed), "LVS_RESULTS": str(folder / results.FILE)}
        if record or len(changed) < len(recordings.batches()) / 2:  # else the core is first
            asked["LVS_CHANGED"] = ",".join(map(str, changed))
        if minutes:
            asked["LVS_MINUTES"] = str(minutes)  # for vm/budget.py
        if record:
            asked.update({"LVS_RECORD": str(folder), **({"LVS_FORCE": "1"} if force else {})})
        seconds = 60 * minutes + GRACE + _SUMMARY if minutes else SUITE
        try:
            return _compare(machine, command, folder, asked, seconds)
        except LabError:
            for line in results.summary(folder / results.FILE):
                _say(line)
            raise
        finally:
            if record:
                _say(f"Recorded: {recordings.merge(folder)} scenarios, in {recordings.FOLDER}")


def _changed(release: str, *, every: bool) -> dict[recordings.Batch, list[str]]:
    """The scenarios whose recordings were made by another player, on another kernel, or not at all."""
    made = recordings.Made() if every else recordings.made_now(release)
    changed = recordings.changed(made)
    if changed and not every:
        count = sum(map(len, changed.values()))
        where = "all batches" if len(changed) == len(recordings.batches()) else ", ".join(map(str, changed))
        _say(f"Changed since they were recorded (text, player or kernel): {count} scenarios in {where}")
    return changed


def replay(scenario: str, *, series: str = "", here: bool | None = None) -> int:
    """Play one scenario on both directors, and print what each does."""
    with _results() as folder:
        command = [sys.executable, "-m", "oracle.replay", scenario]
        return _compare(_machine(series, here=here), command, folder, {}, LONGEST)


def _machine(series: str, *, here: bool | None) -> Machine | None:
    """Where kernel IPVS is; None: in this kernel."""
    if here is None:
        here = not series and os.geteuid() == 0 and all(_has_module(name) for name in _NEEDED)
    return None if here else Machine(ready(_say, series))


def _compare(
    machine: Machine | None, command: list[str], folder: Path, environment: Mapping[str, str], seconds: float
) -> int:
    """Run a command where kernel IPVS is, for so many seconds at most."""
    if machine is None:
        _say("This kernel has IPVS: no other one is needed.")
        return subprocess.run(command, env={**os.environ, **environment}, cwd=ROOT, check=False).returncode
    _say("Booting a stock kernel; without KVM, everything in it takes 20 to 30 times as long.")
    return machine.run(command, folder, seconds, {**environment, "LVS_RUNS": str(folder)})


def _has_module(name: str) -> bool:
    subprocess.run(["modprobe", "--quiet", name], check=False)
    return Path("/sys/module", name).exists()


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def _results() -> Iterator[Path]:
    """A folder that the machine can write to; the runs of labs in it are kept with the others."""
    with run_folder() as folder:
        try:
            yield folder
        finally:
            for kind, place in {"runs": evidence.runs_folder(), "kept": evidence.results_folder()}.items():
                for found in folder.glob(f"{kind}/*"):
                    _say(f"Kept here: {shutil.copytree(found, place / found.name, dirs_exist_ok=True)}")
