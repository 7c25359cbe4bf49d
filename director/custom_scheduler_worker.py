"""The process in which a custom scheduler runs; custom_scheduler.py starts one for each service.

    custom_scheduler.py   sends requests over a socket, a line of JSON each way, with a deadline
      the keeper          creates namespaces, reports the runner's process id, passes on its output, and
                          exits as the runner did
        the runner        executes the file, with limits on memory, time and files

The runner has user, PID and network namespaces of its own, so it can neither signal the director nor reach
its interfaces; if the kernel allows no namespaces, only the limits remain. Requests are about slots: the
scheduler itself, and its copies for dry runs. On SIGUSR1 the runner reports its line, even inside C code.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from director.core.packet import Endpoint, Packet
from director.core.real_server import Method, RealServer
from director.core.schedulers import Scheduler
from director.core.statistics import COUNTERS

Answer = dict[str, Any]

SERVER = (  # besides address, method and counters
    *("weight", "upper", "lower", "configured", "overloaded"),
    *("active", "inactive", "templates", "weight_before"),
)
_MOST_STEPS = 500_000  # bytecodes of the file, for one call
_MEMORY = 256 * 2**20  # bytes of addresses; Python takes 30 MB
_SECONDS = 2  # of processor time, for one call and what it leaves running
_FILE_SIZE = 2**20  # bytes of any file that it writes
_MAX_OUTPUT = 2**18  # bytes of what it prints that are passed on
_PIPE_BUF = 4096  # bytes that a pipe takes at once when it is ready (pipe(7))
_LAST_READS = 16  # of that size, when the runner has ended
_NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000  # linux/sched.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _Endless(BaseException):
    """Not an Exception, so that a file which catches all of those is stopped as well."""


class _Wrong(Exception):
    """The file lacks something, or its pick is wrong."""


@dataclass(slots=True)
class _Slot:
    scheduler: Scheduler
    known: dict[Endpoint, RealServer] = field(default_factory=dict)  # the same objects in every call
    servers: list[RealServer] = field(default_factory=list)  # of the last call, in order


def main(file: str) -> None:
    channel = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _keep(channel, Path(file).stem)
    _limit()
    faulthandler.register(signal.SIGUSR1, file=channel.fileno(), all_threads=False)
    runner = Runner(file)
    with channel.makefile("rb") as requests:
        for line in requests:
            _grant_time()
            try:
                channel.sendall(json.dumps(runner.answer(json.loads(line))).encode() + b"\n")
            except OSError:  # the director has hung up
                return


# ---- the two processes ----


def _keep(channel: socket.socket, name: str) -> None:
    """Returns in the runner; the keeper exits with its exit code, or 128 plus its signal."""
    libc = ctypes.CDLL(None)
    _end_with_parent(libc)
    if libc.unshare(_NEWUSER | _NEWPID | _NEWNET | _NEWIPC):  # as root, where users may not have any
        libc.unshare(_NEWPID | _NEWNET | _NEWIPC)
    outputs = {descriptor: os.pipe() for descriptor in (1, 2)}
    runner = os.fork()
    if not runner:
        os.setsid()  # so that a signal to its process group reaches only the runner
        _end_with_parent(libc)
        for descriptor, pipe in outputs.items():
            os.dup2(pipe[1], descriptor)
        for end in chain.from_iterable(outputs.values()):
            os.close(end)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # as on a terminal
        return
    channel.sendall(b"%d\n" % runner)
    channel.close()
    for _, end in outputs.values():
        os.close(end)
    _pass_on({pipe[0]: descriptor for descriptor, pipe in outputs.items()}, runner, name)
    _, status = os.waitpid(runner, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _pass_on(sources: dict[int, int], runner: int, name: str) -> None:
    """Copy the beginning of the runner's output to the director's own, until the runner ends.

    If the runner wrote to a file itself, the limit on file sizes would end its call once the file is large.
    Output that can't be written at once is dropped, so that no call waits for a reader.
    """
    left, reads = _MAX_OUTPUT, 0
    ended = os.pidfd_open(runner)
    while reads < _LAST_READS:
        ready, _, _ = select.select([*sources, ended], [], [])
        for source in sources.keys() & set(ready):
            part = os.read(source, _PIPE_BUF)
            if not part:
                sources.pop(source)
            elif left > 0:
                left -= len(part)
                _write(sources[source], part)
                if left <= 0:
                    _write(2, f"\nscheduler {name}: it prints too much; the rest is not shown.\n".encode())
        if ready == [ended]:
            return
        reads += ended in ready


def _write(descriptor: int, data: bytes) -> None:
    with suppress(OSError, ValueError):  # a full disk, a reader that has gone, a descriptor that was closed
        if select.select([], [descriptor], [], 0)[1]:
            os.write(descriptor, data)


def _end_with_parent(libc: ctypes.CDLL) -> None:
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _limit() -> None:
    for what, most in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_FSIZE, _FILE_SIZE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),  # no threads, either; the kernel exempts root
    ):
        with suppress(ValueError, OSError):  # the caller has a lower limit
            resource.setrlimit(what, (most, most))


def _grant_time() -> None:
    """Allow some processor time from now on, after which the kernel kills the runner (SIGXCPU)."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    until = int(time.process_time()) + 1 + _SECONDS
    if most == resource.RLIM_INFINITY or until < most:
        resource.setrlimit(resource.RLIMIT_CPU, (until, most))


# ---- requests ----


class Runner:
    """The scheduler in `file`.

    An answer to a failed request has `failed`, the `line` of the file, and `endless` if it was stopped.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._slots: dict[int, _Slot] = {}

    def answer(self, request: dict[str, Any]) -> Answer:
        for gone in request["gone"]:
            self._slots.pop(gone, None)
        work: Callable[[dict[str, Any]], Answer] = getattr(self, f"_{request['do']}")
        try:
            with _counted(self._file):
                return work(request)
        except (Exception, SystemExit, KeyboardInterrupt, _Endless) as error:  # noqa: BLE001  the file may raise anything
            endless = isinstance(error, _Endless)
            return {"failed": _describe(error), "line": _line(error, self._file), "endless": endless}

    def _make(self, request: dict[str, Any]) -> Answer:
        self._slots[request["slot"]] = _Slot(_made(self._file))
        return {}

    def _copy(self, request: dict[str, Any]) -> Answer:
        self._slots[request["slot"]] = deepcopy(self._slots[request["of"]])
        return {}

    def _changed(self, request: dict[str, Any]) -> Answer:
        slot = self._slots[request["slot"]]
        servers = _servers(slot, request)
        slot.known = {server.address: server for server in servers}
        slot.scheduler.changed(servers)
        return {}

    def _pick(self, request: dict[str, Any]) -> Answer:
        slot = self._slots[request["slot"]]
        servers = _servers(slot, request)
        picked: object = slot.scheduler.pick(servers, _packet(request["packet"]), request["now"])
        if picked is None:
            return {"place": None}
        if not (isinstance(picked, tuple) and len(picked) == 2 and isinstance(picked[1], str)):
            raise _Wrong(f"pick: expected None or (server, why), got {picked!r}")
        place = next((n for n, server in enumerate(servers) if server is picked[0]), None)
        if place is None or not servers[place].available:
            what = getattr(picked[0], "address", picked[0])
            raise _Wrong(f"pick: expected an available server of the list, got {what}")
        return {"place": place, "why": picked[1]}


def _servers(slot: _Slot, request: dict[str, Any]) -> tuple[RealServer, ...]:
    """The objects that the scheduler knows, updated: the request has those that have changed."""
    servers: list[Any] = [*slot.servers[: request["count"]], *[None] * (request["count"] - len(slot.servers))]
    for place, (address, method, values, counters) in request["servers"]:
        end = Endpoint(*address)
        server = servers[place] = slot.known.get(end) or RealServer(end, 0, Method(method))
        slot.known[end] = server
        server.method = Method(method)
        for name, value in zip(SERVER, values, strict=True):
            setattr(server, name, value)
        for name, count in zip(COUNTERS, counters, strict=True):
            setattr(server.stats, name, count)
    slot.servers = servers
    return tuple(servers)


def _packet(fields: dict[str, Any]) -> Packet:
    ends = {name: Endpoint(*fields[name]) for name in ("source", "destination")}
    return Packet(**{**fields, **ends, "payload": fields["payload"].encode("latin-1")})


def _made(file: str) -> Scheduler:
    """Execute the file as a module and create its scheduler."""
    name = Path(file).stem
    module = ModuleType(f"custom_scheduler.{name}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(Path(file).read_bytes(), file, "exec", dont_inherit=True), module.__dict__)
    kind = getattr(module, "Scheduler", None)
    if kind is None:
        raise _Wrong("it defines no class Scheduler")
    made: Scheduler = kind()
    for method in ("pick", "changed"):
        if not callable(getattr(made, method, None)):
            raise _Wrong(f"its class Scheduler has no method {method}")
    return made


# ---- limits on steps, and errors ----


@contextmanager
def _counted(file: str) -> Iterator[None]:
    """Stops a loop in the file, at its line; loops elsewhere are stopped by the caller's deadline."""
    sys.settrace(_steps_of(file))
    try:
        yield
    finally:
        sys.settrace(None)


def _steps_of(file: str) -> Callable[[FrameType, str, Any], Any]:
    """A trace function that counts the bytecodes of `file`: a loop may be all on one line."""
    left = _MOST_STEPS

    def count(frame: FrameType, _event: str, _argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != file:
            return None
        frame.f_trace_opcodes = True
        left -= 1
        if left < 0:
            raise _Endless
        return count

    return count


def _describe(error: BaseException) -> str:
    if isinstance(error, _Endless):
        return f"it did not finish within {_MOST_STEPS} steps"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, _Wrong):
        return str(error)
    what = error.msg if isinstance(error, SyntaxError) else str(error).partition("\n")[0]
    return f"{type(error).__name__}: {what}".rstrip(".: ")


def _line(error: BaseException, file: str) -> int:
    """The last line of `file` in the traceback; 0 if it is not there."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno or 0
    lines = [place.lineno for place in traceback.extract_tb(error.__traceback__) if place.filename == file]
    return lines[-1] or 0 if lines else 0
