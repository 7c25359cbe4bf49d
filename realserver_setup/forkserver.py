"""Starts daemons on many hosts by forking one process that has imported their modules once.

Input is a line of JSON for each daemon:
    {"name": "rs1", "pid": 4711, "daemon": "ftpd", "log": "/run/rs1.log", "options": {"root": "/srv"}}
where `pid` is any process in the daemon's future network namespace. Output is a line
    {"name": "rs1", "daemon": "ftpd", "pid": 4720, "ready": true}
once it listens (ftpd) or its device exists (tunl0). If it fails, "error" with a sentence replaces the last
two fields. The daemons end with this process, which ends when its standard input does. Its client is
realserver_setup.forkserver_client. With a socket's path as argument, it also forks small programs for
requests there (forked_programs.py).
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401  name lookups import it: once here, not once per daemon
import gc
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from realserver_setup import syscalls, tunl0
from realserver_setup.errors import SetupError
from realserver_setup.forked_programs import ForkedPrograms

_absent: Any = None
# pyftpdlib imports it for FTPS, which takes half of its import time
sys.modules.setdefault("OpenSSL", _absent)
from realserver_setup import ftpd  # noqa: E402

Message = dict[str, Any]
DAEMONS: dict[str, Callable[..., None]] = {"ftpd": ftpd.serve, "tunl0": tunl0.serve}

_CHUNK = 65536
_READY = b"ready"


@dataclass(frozen=True, slots=True)
class _Starting:
    """A daemon that has been forked but is not ready yet."""

    request: Message
    pid: int
    status: int  # the read end of a pipe for its status message


class ForkServer:
    """Reads requests from one descriptor and writes answers to another, until the first is closed."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests = requests
        self._answers = answers
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ, self._read)

    def fork_programs(self, path: Path) -> None:
        """Also accept requests for programs on the socket `path`."""
        programs = ForkedPrograms(path)

        def accept() -> None:
            connection = programs.accept()
            self._selector.register(connection, selectors.EVENT_READ, partial(serve, connection))

        def serve(connection: socket.socket) -> None:
            self._selector.unregister(connection)
            programs.serve(connection)

        self._selector.register(programs.listening, selectors.EVENT_READ, accept)

    def run(self) -> None:
        while self._selector.get_map():
            for key, _ in self._selector.select():
                key.data()

    def _read(self) -> None:
        data = os.read(self._requests, _CHUNK)
        if not data:
            sys.exit(0)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._accept(line)

    def _accept(self, line: bytes) -> None:
        request: Message = {}
        try:
            request = _parse(line)
            self._fork(request)
        except (ValueError, OSError) as error:
            self._answer(request, {"error": f"{error}"})

    def _fork(self, request: Message) -> None:
        read_end, write_end = os.pipe()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            self._selector.close()
            os.close(read_end)
            _become(request, parent, write_end)
        os.close(write_end)
        starting = _Starting(request, child, read_end)
        self._selector.register(read_end, selectors.EVENT_READ, partial(self._report, starting))

    def _report(self, starting: _Starting) -> None:
        word = os.read(starting.status, _CHUNK)
        self._selector.unregister(starting.status)
        os.close(starting.status)
        if word == _READY:
            self._answer(starting.request, {"pid": starting.pid, "ready": True})
        else:
            message = word.decode(errors="replace") or f"it ended at once: see {starting.request['log']}."
            self._answer(starting.request, {"error": message})

    def _answer(self, request: Message, what: Message) -> None:
        answer = {"name": request.get("name"), "daemon": request.get("daemon"), **what}
        line = json.dumps(answer).encode() + b"\n"
        while line:
            line = line[os.write(self._answers, line) :]


def _parse(line: bytes) -> Message:
    """A complete request. Raises ValueError."""
    request = json.loads(line)
    for field, kind in (("name", str), ("daemon", str), ("pid", int), ("log", str), ("options", dict)):
        if not isinstance(request, dict) or not isinstance(request.get(field), kind):
            raise ValueError(f"{field}: expected a {kind.__name__} in {line.decode(errors='replace')}.")
    if request["daemon"] not in DAEMONS:
        raise ValueError(f"daemon: expected one of {', '.join(DAEMONS)}, got {request['daemon']!r}.")
    return dict(request)


def _become(request: Message, parent: int, status: int) -> NoReturn:
    """In the child: enter the host's network namespace and become the daemon."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        syscalls.die_with_parent(parent)
        _redirect(request["log"])
        syscalls.join(request["pid"])
        DAEMONS[request["daemon"]](partial(_report_ready, status), **request["options"])
        code = 0
    except (SetupError, OSError, TypeError) as error:  # TypeError: an unknown option
        print(error, file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            os.write(status, str(error).encode())
    finally:
        if any(failure := sys.exc_info()):
            sys.excepthook(*failure)
            sys.stderr.flush()
        os._exit(code)


def _redirect(log: str) -> None:
    """Read from /dev/null, and write all output to `log`."""
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT),
    ):
        descriptor = os.open(path, flags, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.dup2(1, 2)


def _report_ready(status: int) -> None:
    os.write(status, _READY)
    os.close(status)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies of ended daemons
    gc.collect()
    gc.freeze()  # keep objects in pages that all daemons share
    server = ForkServer(0, os.dup(1))
    for path in sys.argv[1:]:
        server.fork_programs(Path(path))
    server.run()


if __name__ == "__main__":
    main()
