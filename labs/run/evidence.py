"""A run's folder: everything that a check judges, and that a person may want to look at later.

scripts/      the rendered scripts, each with its undo and its other dialect
commands.jsonl  every command with host, exit code and output
pcap/         one capture per interface
logs/         what the daemons printed, and the servers' access logs
events.jsonl  what the director did
report.json   the result
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from labs.errors import Unable
from labs.hosts.environment import state_folder
from labs.run import json_lines
from realserver_setup.apply import Result

_ROOT = Path(__file__).resolve().parents[2]
_CURE = "make room there, or name a folder of yours with LVS_RUNS"
_LITTLE = 16_384  # bytes
_LONGEST = 20_000  # characters kept of a command's output


class Evidence:
    """The folder of one run, made when the run starts; `LVS_RUNS` moves all of them elsewhere."""

    def __init__(self, lab: str, among: Path | None = None) -> None:
        """`among`: the folder in which this run's is made, if not with all others."""
        self.folder = new_folder(among or runs_folder(), lab)
        self.scripts, self.pcaps, self.logs = (self._sub(name) for name in ("scripts", "pcap", "logs"))
        self.events = self.folder / "events.jsonl"
        self.report = self.folder / "report.json"
        self._commands = self.folder / "commands.jsonl"
        self._unwritten = ""

    def command(self, host: str, argv: Sequence[str], text: str | None, result: Result) -> None:
        """Add a command that has ended to commands.jsonl."""
        record = {
            "host": host,
            "command": list(argv),
            "exit": result.exit_code,
            "stdout": result.stdout[-_LONGEST:],
            "stderr": result.stderr[-_LONGEST:],
        }
        if text is not None:
            record["input"] = text
        try:
            json_lines.append(self._commands, record)
        except OSError as error:  # the lab goes on without it
            self._unwritten = self._unwritten or f"{self._commands}: {error.strerror}"

    def missing(self) -> str:
        """A sentence where something of this run could not be kept; empty where all was."""
        cause = self._unwritten or (f"{self.folder}: the disk is full" if is_full(self.folder) else "")
        if not cause:
            return ""
        return f"Not all of the evidence could be kept ({cause}): {_CURE}."

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def close(self) -> None:
        """Once the run is over: under sudo, its files become those of the checkout's owner."""
        give_to_owner_of(_ROOT, self.folder, *self.folder.rglob("*"))

    def _sub(self, name: str) -> Path:
        path = self.folder / name
        try:
            path.mkdir()
        except OSError as error:
            raise Unable(f"{path}: {error.strerror}: {_CURE}.") from None
        give_to_owner_of(_ROOT, path)
        return path


def is_full(folder: Path) -> bool:
    """Whether its disk has no room left for as much as a report."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < _LITTLE or (disk.f_files > 0 and disk.f_favail == 0)


def runs_folder() -> Path:
    """Where runs are kept: LVS_RUNS, else runs/ of the project, else the user's state folder."""
    chosen = os.environ.get("LVS_RUNS")
    if chosen:
        return Path(chosen).absolute()
    if os.access(_ROOT, os.W_OK) and (not (_ROOT / "runs").exists() or os.access(_ROOT / "runs", os.W_OK)):
        return _ROOT / "runs"
    return state_folder(os.environ) / "runs"


def results_folder() -> Path:
    """Where results are kept for the documentation; LVS_KEPT where that can't be written to."""
    return Path(os.environ.get("LVS_KEPT") or _ROOT / "docs" / "bench")


def new_folder(runs: Path, lab: str) -> Path:
    """A folder of its own, also for two labs started in the same second. Raises Unable.

    It is for its owner alone, because students share machines and evidence shows how an exercise was solved;
    in a folder that LVS_RUNS names, the umask decides.
    """
    mode = 0o777 if os.environ.get("LVS_RUNS") else 0o700
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1000):
        folder = runs / (f"{stamp}-{lab}" + (f"-{attempt}" if attempt else ""))
        try:
            folder.mkdir(mode, parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise Unable(f"In {runs} no folder can be made ({error.strerror}): {_CURE}.") from None
        give_to_owner_of(_ROOT, runs, folder)
        return folder
    raise FileExistsError(folder)


def give_to_owner_of(reference: Path, *paths: Path) -> None:
    """Under sudo: leave nothing in the user's checkout that the user can't write to or remove."""
    if os.geteuid() == 0:
        owner = reference.stat()
        for path in paths:
            if path.is_relative_to(reference):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
