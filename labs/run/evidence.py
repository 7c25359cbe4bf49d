"""The folder of a run: everything that the checks examine, and that a person may want to read later.

scripts/        the rendered scripts of both dialects, each with its undo script
commands.jsonl  every command with host, exit code and output
pcap/           one capture per interface
logs/           output of the daemons, and access logs of the servers
events.jsonl    what the director did; with two directors, events-d1.jsonl and events-d2.jsonl
report.json     the result
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from labs.errors import Unable
from labs.hosts.environment import state_folder
from labs.run import json_lines
from realserver_setup.apply import Result

_ROOT = Path(__file__).resolve().parents[2]
_CURE = "make room there, or set LVS_RUNS to a folder of yours"
_MIN_FREE = 16_384  # bytes: less is a full disk
BEFORE = "before-reset-{}"  # folder for the evidence of an exercise before it was reset
_MAX_OUTPUT = 20_000  # characters kept of a command's output


class Evidence:
    """The folder of one run, created when the run starts, in runs_folder()."""

    def __init__(self, lab: str, parent: Path | None = None) -> None:
        """`parent`: the folder to create it in, instead of runs_folder()."""
        self.folder = new_folder(parent or runs_folder(), lab)
        self.scripts, self.pcaps, self.logs = (self._sub(name) for name in ("scripts", "pcap", "logs"))
        self.events = self.folder / "events.jsonl"
        self.report = self.folder / "report.json"
        self._commands = self.folder / "commands.jsonl"
        self._unwritten = ""

    def command(self, host: str, argv: Sequence[str], text: str | None, result: Result) -> None:
        """Append a finished command to commands.jsonl."""
        record = {
            "host": host,
            "command": list(argv),
            "exit": result.exit_code,
            "stdout": result.stdout[-_MAX_OUTPUT:],
            "stderr": result.stderr[-_MAX_OUTPUT:],
        }
        if text is not None:
            record["input"] = text
        try:
            json_lines.append(self._commands, record)
        except OSError as error:  # the lab continues without it
            self._unwritten = self._unwritten or f"{self._commands}: {error.strerror}"

    def missing(self) -> str:
        """A sentence if some evidence could not be written, else empty."""
        cause = self._unwritten or (f"{self.folder}: the disk is full" if is_full(self.folder) else "")
        if not cause:
            return ""
        return f"Some evidence could not be written ({cause}): {_CURE}."

    def begin_again(self, number: int, keep: Collection[str]) -> None:
        """Set everything but the files in `keep` aside, so that the lab can be built again."""
        aside = self.folder / BEFORE.format(number)
        aside.mkdir()
        for path in self.folder.iterdir():
            if path.name not in keep and not fnmatchcase(path.name, BEFORE.format("*")):
                path.rename(aside / path.name)
        for path in (self.scripts, self.pcaps, self.logs):
            path.mkdir()

    def events_of(self, director: str) -> Path:
        """The events of the director on this host."""
        return self.events if director == "d" else self.folder / f"events-{director}.jsonl"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def close(self) -> None:
        """Under sudo, give the files to the owner of the checkout once the run is over."""
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
    """Whether the folder's disk has no room for a report."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < _MIN_FREE or (disk.f_files > 0 and disk.f_favail == 0)


def runs_folder() -> Path:
    """Where runs are kept: LVS_RUNS, else runs/ in the checkout, else the user's state folder."""
    chosen = os.environ.get("LVS_RUNS")
    if chosen:
        return Path(chosen).absolute()
    if os.access(_ROOT, os.W_OK) and (not (_ROOT / "runs").exists() or os.access(_ROOT / "runs", os.W_OK)):
        return _ROOT / "runs"
    return state_folder(os.environ) / "runs"


def results_folder() -> Path:
    """Where benchmark results for the documentation are kept: LVS_KEPT, else docs/bench."""
    return Path(os.environ.get("LVS_KEPT") or _ROOT / "docs" / "bench")


def new_folder(runs: Path, lab: str) -> Path:
    """Create a folder for one run, unique even if two start in the same second. Raises Unable.

    Only its owner may read it, because students share machines and evidence shows how an exercise was
    solved; in a folder that LVS_RUNS names, the umask decides.
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
            raise Unable(f"Can't create a folder in {runs} ({error.strerror}): {_CURE}.") from None
        give_to_owner_of(_ROOT, runs, folder)
        return folder
    raise FileExistsError(folder)


def give_to_owner_of(reference: Path, *paths: Path) -> None:
    """Under sudo, leave no files in the user's checkout that the user can't change or remove."""
    if os.geteuid() == 0:
        owner = reference.stat()
        for path in paths:
            if path.is_relative_to(reference):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
