"""A run's folder in the cache: the machine can write to it, and everything temporary of the run is in it.

A process beside the run waits for its end, however it ends, and removes the folder then. Whoever uses one
also holds a lock in it, which the kernel gives back: the next run removes the folders that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from vm.kernel import cache

TEMPORARY = "tmp"  # in a run's folder: TMPDIR of the programs that start the machine
_LOCK, _RUN = "lock", "run-"
# The pipe is closed when the run has ended; the machine, killed with it, may write for a moment longer.
_REMOVE = 'read -r _; tries=50; until rm -rf -- "$0" || [ $((tries -= 1)) = 0 ]; do sleep 0.1; done'


@contextmanager
def run_folder() -> Iterator[Path]:
    """A new folder, removed at the end; those of runs that were killed are removed now."""
    cache().mkdir(parents=True, exist_ok=True)
    with _locked(cache() / _LOCK):  # nobody takes a folder away between its making and its lock
        for old in cache().glob(f"{_RUN}*"):
            _remove_if_left(old)
        folder = Path(mkdtemp(prefix=_RUN, dir=cache()))
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        remover = subprocess.Popen(
            ["sh", "-c", _REMOVE, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )
    (folder / TEMPORARY).mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        remover.communicate()
        os.close(lock)


def _remove_if_left(folder: Path) -> None:
    try:
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # another user's, or gone in this moment
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # in use
    finally:
        os.close(lock)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    lock = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
