"""The client of forkserver.py: requests daemons, waits for all of them, and reads the log of ftpd.

with Launcher(log) as launcher:
    for host in hosts:
        launcher.ask(Daemon(host.name, host.pid, "ftpd", log, {"root": str(root)}))
    pids = launcher.wait()
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from realserver_setup.errors import DaemonFailed

_ROOT = Path(__file__).resolve().parent.parent
_CHUNK = 65536
Kind = Literal["ftpd", "tunl0"]


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon to start: its `kind`, on host `name`, in the network namespace of process `pid`.

    `options` are those of the daemon's `serve`; its output is appended to `log`.
    """

    name: str
    pid: int
    kind: Kind
    log: Path
    options: Mapping[str, object] = field(default_factory=dict)

    def request(self) -> bytes:
        """The request, as a line of JSON."""
        log, options = str(self.log.resolve()), dict(self.options)
        message = {"name": self.name, "pid": self.pid, "daemon": self.kind, "log": log, "options": options}
        return json.dumps(message).encode() + b"\n"


class Launcher:
    """A running fork server. Closing it ends its daemons.

    `log` gets the errors of the fork server itself. On the socket `programs` it accepts requests for programs
    (forked_programs.py).
    """

    def __init__(self, log: Path | None = None, programs: Path | None = None) -> None:
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        errors = log.open("ab") if log else None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "realserver_setup.forkserver", *([str(programs)] if programs else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path},
        )
        if errors:
            errors.close()
        self._outstanding = 0
        self._buffer = b""
        self._answers: list[dict[str, Any]] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, daemon: Daemon) -> None:
        """Request a daemon; `wait` returns its pid. Raises DaemonFailed if the fork server has ended."""
        assert self._process.stdin is not None
        self._read(0)  # else each side could block because the other does not read
        try:
            self._process.stdin.write(daemon.request())
        except OSError:
            raise DaemonFailed("The fork server has ended: see its log.") from None
        self._outstanding += 1

    def wait(self, timeout: float = 30.0) -> dict[tuple[str, str], int]:
        """Wait until all daemons requested since the last call are ready; returns their pids by (name, kind).

        Raises DaemonFailed if one fails or is not ready within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while len(self._answers) < self._outstanding:
            if not self._read(max(0.0, deadline - time.monotonic())):
                missing = self._outstanding - len(self._answers)
                raise DaemonFailed(
                    f"{missing} of {self._outstanding} daemons are not ready after {timeout:g} s."
                )
        answers, self._answers, self._outstanding = self._answers, [], 0
        for answer in answers:
            if "error" in answer:
                raise DaemonFailed(f"{answer['daemon']} of {answer['name']}: {answer['error']}")
        return {(answer["name"], answer["daemon"]): answer["pid"] for answer in answers}

    def start(self, daemon: Daemon) -> int:
        """Start a daemon, wait until it is ready, and return its pid. Raises DaemonFailed."""
        self.ask(daemon)
        return self.wait()[daemon.name, daemon.kind]

    def close(self) -> None:
        """End the fork server and its daemons."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Launcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, timeout: float) -> bool:
        """Read answers of the fork server; False if none arrives in time."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poller = select.poll()  # select(2) only accepts descriptors below 1024
        poller.register(descriptor, select.POLLIN)
        if not poller.poll(timeout * 1000):
            return False
        data = os.read(descriptor, _CHUNK)
        if not data:
            raise DaemonFailed("The fork server has ended: see its log.")
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self._answers += [json.loads(line) for line in lines]
        return True


@dataclass(frozen=True, slots=True)
class FtpCommand:
    """A command in the log of an ftpd: client, command, argument, and reply code."""

    client: str
    command: str
    argument: str
    code: int


def ftp_commands(log: Path) -> list[FtpCommand]:
    """The commands in the log of an ftpd, in order; other lines are skipped."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [FtpCommand(**json.loads(line)) for line in lines if line.startswith('{"client"')]
