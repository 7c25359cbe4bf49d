"""Starts daemons on many hosts from one process that has imported Python's half of them once.

A line of JSON in, for each daemon:
    {"name": "rs1", "pid": 4711, "daemon": "ftpd", "log": "/run/rs1.log", "options": {"root": "/srv"}}
where `pid` is any process in the network namespace that the daemon shall live in. A line out:
    {"name": "rs1", "daemon": "ftpd", "pid": 4720, "ready": true}
once it listens (ftpd) or its device exists (tunl0), or, instead of the last two, "error" with a
sentence. The daemons end when this process ends, and it ends with its standard input.
Not for people: realserver_setup.launcher is its client.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401  name look-ups import it: once here, not once per daemon
import gc
import json
import os
import selectors
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from realserver_setup import ftpd, syscalls, tunl0
from realserver_setup.errors import SetupError

Message = dict[str, Any]
DAEMONS: dict[str, Callable[..., None]] = {"ftpd": ftpd.serve, "tunl0": tunl0.serve}

_CHUNK = 65536
_READY = b"ready"


@dataclass(frozen=True, slots=True)
class _Birth:
    """A daemon that has been forked and has not yet said that it is ready."""

    request: Message
    pid: int
    status: int  # the end of a pipe from which its first and last word is read


class ForkServer:
    """Reads requests from one descriptor and writes answers to another, until the first is closed."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests = requests
        self._answers = answers
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ, self._read)

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
        theirs, ours = os.pipe()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            self._selector.close()
            os.close(theirs)
            _become(request, parent, ours)
        os.close(ours)
        birth = _Birth(request, child, theirs)
        self._selector.register(theirs, selectors.EVENT_READ, partial(self._born, birth))

    def _born(self, birth: _Birth) -> None:
        word = os.read(birth.status, _CHUNK)
        self._selector.unregister(birth.status)
        os.close(birth.status)
        if word == _READY:
            self._answer(birth.request, {"pid": birth.pid, "ready": True})
        else:
            said = word.decode(errors="replace") or f"ended at once; {birth.request['log']} may say why"
            self._answer(birth.request, {"error": said})

    def _answer(self, request: Message, what: Message) -> None:
        answer = {"name": request.get("name"), "daemon": request.get("daemon"), **what}
        line = json.dumps(answer).encode() + b"\n"
        while line:
            line = line[os.write(self._answers, line) :]


def _parse(line: bytes) -> Message:
    """A request that has everything it needs; raises ValueError."""
    request = json.loads(line)
    for field, kind in (("name", str), ("daemon", str), ("pid", int), ("log", str), ("options", dict)):
        if not isinstance(request, dict) or not isinstance(request.get(field), kind):
            raise ValueError(f"{field}: expected a {kind.__name__} in {line.decode(errors='replace')}.")
    if request["daemon"] not in DAEMONS:
        raise ValueError(f"daemon: expected one of {', '.join(DAEMONS)}, got {request['daemon']!r}.")
    return dict(request)


def _become(request: Message, parent: int, status: int) -> NoReturn:
    """In the child: move into the host's network namespace and be the daemon."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        syscalls.die_with_parent(parent)
        _redirect(request["log"])
        syscalls.join(request["pid"])
        DAEMONS[request["daemon"]](partial(_say_ready, status), **request["options"])
        code = 0
    except (SetupError, OSError, TypeError) as error:  # TypeError: an option that the daemon does not have
        print(error, file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            os.write(status, str(error).encode())
    finally:
        if any(failure := sys.exc_info()):
            sys.excepthook(*failure)
            sys.stderr.flush()
        os._exit(code)


def _redirect(log: str) -> None:
    """Nothing to read, and everything said goes to `log`."""
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT),
    ):
        descriptor = os.open(path, flags, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.dup2(1, 2)


def _say_ready(status: int) -> None:
    os.write(status, _READY)
    os.close(status)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # daemons that end leave no zombie
    gc.collect()
    gc.freeze()  # what is there now is shared by all daemons: don't have each touch it
    ForkServer(0, os.dup(1)).run()


if __name__ == "__main__":
    main()
