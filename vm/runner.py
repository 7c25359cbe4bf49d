"""./inv vm and ./inv vm-test: what runs in the machine, for how long, and where the results go."""

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
from oracle import ipv6_frames, ipv6_generated, odd_packets, recordings, twos
from oracle.replay import find
from vm.budget import GRACE, RESULTS, summary
from vm.kernel_packages import ready
from vm.options import VmTestOptions
from vm.run_folder import run_folder
from vm.virtual_machine import ROOT, Machine

TASK_TIMEOUT = 3600.0  # seconds
SUITE_TIMEOUT = 7200.0  # seconds without --minutes: six times the duration on two processors
_OVERHEAD = 180.0  # seconds to collect the tests and to print the summary
_MODULES = ("ip_vs", "ipip")  # a kernel that has these needs no machine
_RECORDING = "tests/vm/test_oracle.py::test_the_recording_holds"
_SINGLE = {
    odd_packets.FILE: "tests/vm/test_odd_packets.py",
    twos.FILE: "tests/vm/test_twos.py",
    ipv6_frames.FILE: "tests/vm/test_ipv6_frames.py",
    **{ipv6_generated.path(method): "tests/vm/test_ipv6_generated.py" for method in ipv6_generated.METHODS},
}
_MORE = "tests/vm/test_oracle.py::test_more_of_them"
_NEEDS_IPVS = "not scapy and not ebpf"  # `./inv test` runs those, which need no IPVS
_SIDE_BY_SIDE = ("-n", "2", "--dist", "loadscope", "--no-loadscope-reorder")  # the machine has two processors
# The files of tests/labs run on every engine.
_TESTS = ("tests/vm", "tests/labs/test_oracle_live.py", "tests/labs/test_director_features.py")


def run_task(words: Sequence[str], *, shell: bool, series: str = "", seconds: float = TASK_TIMEOUT) -> int:
    """Run a task of ./inv in the machine, or a shell; returns its exit code. Raises LabError.

    `series` is that of the kernel to boot, if not this distribution's (vm/kernel_packages.py).
    """
    if not words and not shell:
        raise BadRequest("./inv vm needs a task, such as ./inv vm lab-nat, or --shell.")
    if words[:1] and words[0].startswith("vm"):
        raise BadRequest(f"{words[0]} can't run in the machine: it would start another machine.")
    machine = Machine(ready(_say, series))
    with _results() as folder:
        runs, kept = folder / "runs", folder / "kept"
        runs.mkdir()
        places = {"LVS_RUNS": str(runs), "LVS_KEPT": str(kept)}
        if shell:
            return machine.shell(folder, places)
        command = [sys.executable, str(ROOT / "tasks.py"), *words]
        return machine.run(command, folder, seconds, places)


def run_suite(options: VmTestOptions, *, here: bool | None = None) -> int:
    """Compare with kernel IPVS, on this kernel if it can, else in the machine; returns pytest's exit code.

    With the series of a kernel (vm/kernel_packages.py), the machine boots that one.
    """
    more, record, minutes = options.more, options.record, options.minutes
    machine = _machine(options.kernel, here=here)
    release = machine.kernel.release if machine else os.uname().release
    changed = _changed(release, every=options.force)
    if record and not changed and _single_recordings_hold(release):
        _say("Nothing has changed since the recordings were made: to record again, add --force.")
        return 0
    wanted = f"({options.only}) and {_NEEDS_IPVS}" if options.only else _NEEDS_IPVS
    tests = (*dict.fromkeys(_SINGLE.values()), _RECORDING) if record else (_MORE,) if more else _TESTS
    command = [sys.executable, "-m", "pytest", *tests, "-k", wanted, "-p", "no:cacheprovider", "-v", "-rfEs"]
    command += ["-p", "no:hypothesispytest", "-p", "vm.budget"]  # the former would write to the checkout
    command += [f"--timeout={SUITE_TIMEOUT:.0f}", "--durations=20", *_SIDE_BY_SIDE]
    if not more:
        command.append(f"--deselect={_MORE}")
    with _results() as folder:
        asked = {"LVS_MORE": str(more), "LVS_SEED": str(options.seed)}
        asked["LVS_RESULTS"] = str(folder / RESULTS)
        if record or len(changed) < len(recordings.batches()) / 2:  # else the core comes first
            asked["LVS_CHANGED"] = ",".join(map(str, changed))
        if minutes:
            asked["LVS_MINUTES"] = str(minutes)  # for vm/budget.py
        if record:
            asked.update({"LVS_RECORD": str(folder), **({"LVS_FORCE": "1"} if options.force else {})})
        seconds = 60 * minutes + GRACE + _OVERHEAD if minutes else SUITE_TIMEOUT
        try:
            return _compare(machine, command, folder, asked, seconds)
        except LabError:
            for line in summary(folder / RESULTS):
                _say(line)
            raise
        finally:
            if record:
                count, files = recordings.merge(folder), _merge_single_recordings(folder)
                _say(f"Recorded: {', '.join([f'{count} scenarios', *files])}, in {recordings.FOLDER}")


def _changed(release: str, *, every: bool) -> dict[recordings.Batch, list[str]]:
    """Scenarios whose recordings are missing, or were made by other code or on another kernel."""
    made = recordings.Made() if every else recordings.made_now(release)
    changed = recordings.changed(made)
    if changed and not every:
        count = sum(map(len, changed.values()))
        where = "all batches" if len(changed) == len(recordings.batches()) else ", ".join(map(str, changed))
        _say(f"Changed since they were recorded (text, player or kernel): {count} scenarios in {where}")
    return changed


def _single_recordings_hold(release: str) -> bool:
    """Whether the recordings of one file each are up to date; that of twos is not tied to one kernel."""
    odd, drawn, frames, *_ = (recordings.FOLDER / file.name for file in _SINGLE)
    methods = ipv6_generated.METHODS
    if not all(ipv6_generated.holds(method, release, recordings.FOLDER) for method in methods):
        return False
    made = recordings.made_now(release)
    if not frames.exists() or not ipv6_frames.holds(ipv6_frames.read(frames), release):
        return False
    if not drawn.exists() or not odd_packets.holds(odd_packets.read(odd), made):
        return False
    found = [(recorded.scenario, recorded.place, recorded.made.player) for recorded in recordings.read(drawn)]
    return found == [(twos.scenario(), twos.PLACE, made.player)]


def _merge_single_recordings(new: Path) -> list[str]:
    """Copy those in the folder `new`; returns their names."""
    names = [file.name for file in _SINGLE if (new / file.name).exists()]
    for name in names:
        shutil.copy(new / name, recordings.FOLDER / name)
    return names


def replay(scenario: str, *, series: str = "", here: bool | None = None) -> int:
    """Run one scenario on both directors, and print what each does. Raises BadRequest if there is none."""
    try:
        find(scenario)  # before a machine is started for it
    except LookupError as error:
        raise BadRequest(f"{error}.") from None
    with _results() as folder:
        command = [sys.executable, "-m", "oracle.replay", scenario]
        return _compare(_machine(series, here=here), command, folder, {}, TASK_TIMEOUT)


def _machine(series: str, *, here: bool | None) -> Machine | None:
    """The machine to compare in; None for this kernel."""
    if here is None:
        here = not series and os.geteuid() == 0 and all(_has_module(name) for name in _MODULES)
    if here:
        return None
    _compile()
    return Machine(ready(_say, series))


def _compile() -> None:
    """Compile all modules here, which is twenty times as fast.

    The machine's file system is read-only, so each start of Python there would compile again what is not
    compiled yet. pytest compiles the tests in its own way.
    """
    if os.geteuid() == 0 and ROOT.stat().st_uid:
        return  # the checkout's owner could not remove root's files
    writing = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    collect = ("pytest", "--collect-only", "-p", "no:cacheprovider", *_TESTS)
    packages = (str(found.parent) for found in ROOT.glob("*/__init__.py"))
    for command in (collect, ("compileall", "-q", *packages)):
        run = [sys.executable, "-m", *command]
        subprocess.run(run, cwd=ROOT, env=writing, capture_output=True, check=False)


def _compare(
    machine: Machine | None, command: list[str], folder: Path, environment: Mapping[str, str], seconds: float
) -> int:
    """Run a command in the machine, if any, for at most `seconds`."""
    if machine is None:
        _say("This kernel has IPVS: no virtual machine is needed.")
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
    """A folder that the machine can write to; the labs' evidence there is copied to this machine's runs."""
    with run_folder() as folder:
        try:
            yield folder
        finally:
            for kind, place in {"runs": evidence.runs_folder(), "kept": evidence.results_folder()}.items():
                for found in folder.glob(f"{kind}/*"):
                    _say(f"Kept here: {shutil.copytree(found, place / found.name, dirs_exist_ok=True)}")
