"""The folder of a run, in the cache: the machine can write to it, and the run's temporary files are in it.

A separate process waits until the run ends, even by a kill, and then removes the folder. The run also holds a
lock in it, which the kernel releases with the process: the next run removes unlocked folders.
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

from vm.kernel_packages import cache

TEMPORARY = "tmp"  # in the folder: TMPDIR of the programs that start the machine
_LOCK, _PREFIX = "lock", "run-"
# The pipe is closed when the run has ended; the machine, killed with it, may write for a moment longer.
_REMOVE = 'read -r _; tries=50; until rm -rf -- "$0" || [ $((tries -= 1)) = 0 ]; do sleep 0.1; done'


@contextmanager
def run_folder() -> Iterator[Path]:
    """A new folder, removed at the end; folders of runs that were killed are removed first."""
    cache().mkdir(parents=True, exist_ok=True)
    with _locked(cache() / _LOCK):  # so that no other run removes our folder before it is locked
        for old in cache().glob(f"{_PREFIX}*"):
            _remove_if_unlocked(old)
        folder = Path(mkdtemp(prefix=_PREFIX, dir=cache()))
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        remover = subprocess.Popen(
            ["sh", "-c", _REMOVE, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C must not end it
        )
    (folder / TEMPORARY).mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        remover.communicate()
        os.close(lock)


def _remove_if_unlocked(folder: Path) -> None:
    try:
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # another user's, or just removed
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
