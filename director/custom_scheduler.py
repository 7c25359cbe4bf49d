"""A custom scheduler: a file like those of core/schedulers/, loaded again for each service that uses it.

The scheduler is named after its file. It runs in a process of its own (custom_scheduler_worker.py), so a bug
in it can neither end the director nor block it: each pick may take 20 ms, and picks that take longer
share one second more. An error is one sentence with the file's line: the refusal of the rule
(`ipvsadm -A ... -s NAME`), or the reason why a connection was refused. A process that has ended, or did not
answer in time, is not restarted: new connections are refused until the service gets the scheduler again.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from functools import partial
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any, NoReturn

from director.core import schedulers
from director.core.errors import BadValue, SchedulerFailed
from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.statistics import COUNTERS
from director.custom_scheduler_worker import SERVER, Answer

_NAME = re.compile(r"[a-z][a-z0-9_]{0,14}", re.ASCII)  # ipvsadm accepts 15 letters
_ROOT = Path(__file__).resolve().parent.parent
_PYTHON = (sys.executable, "-I", "-S", "-B", "-c")  # starts in half the time, as _PROGRAM sets the path
_PROGRAM = (
    "import sys; sys.path[:0] = sys.argv[2:];"
    "from director.custom_scheduler_worker import main; main(sys.argv[1])"
)
_START_TIMEOUT = 10.0  # seconds, not counting the wait for a processor; Python starts in 0.1 s
_LONGEST_START, _LONGEST_CALL = 60.0, 10.0  # seconds, counting that wait, on an overloaded machine
_CALL_TIME = 0.02  # seconds that every call may take; 0.1 ms is usual
_EXTRA_TIME = 1.0  # seconds more, for all calls together; quick calls earn some of it back
_LAST_WORDS = 1.0  # seconds to learn at which line it hangs, or how it ended
_MAX_ANSWER = 65_536  # bytes
_MAX_SENTENCE = 300  # characters of an error
_FIELDS = tuple(
    field.name
    for field in fields(Packet)
    if field.name not in ("payload", "embedded", "bad_checksum", "options")
)
_VALUES, _COUNTS = attrgetter(*SERVER), attrgetter(*COUNTERS)
_Row = tuple[Any, ...]
STOPPED = "; new connections are refused until ipvsadm -E gives the service its scheduler again"


def add(file: Path) -> None:
    """Make the scheduler in `file` available to services. Raises BadValue for an unsuitable file."""
    if not file.is_file():
        raise BadValue("scheduler file", "an existing file", str(file))
    name = file.stem
    if not _NAME.fullmatch(name) or name in schedulers.names():
        raise BadValue(
            "scheduler file", "a new name of up to 15 letters, digits and _, ending in .py", file.name
        )
    schedulers.register(name, partial(CustomScheduler, file))


class CustomScheduler:
    """The scheduler in `file`, for one service. Raises SchedulerFailed, here and in `pick`."""

    def __init__(self, file: Path) -> None:
        self._complaint = ""
        self._sent: list[_Row] = []  # the servers as the process knows them
        self._process = _Process(file)
        self._slot = self._process.new_slot(self)
        self._ask("make")

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        if self._complaint:
            raise SchedulerFailed(self._complaint)
        answer = self._ask("pick", **self._changes(servers), packet=_packet(packet), now=now)
        place = answer.get("place")
        if place is None:
            return None
        if type(place) is not int or not 0 <= place < len(servers) or not servers[place].available:
            raise SchedulerFailed(self._process.describe("pick: expected an available server of the list"))
        return servers[place], _plain(answer.get("why"))

    def changed(self, servers: Sequence[RealServer]) -> None:
        """The rules are already in force, so a failure is reported when the next connection comes."""
        self._complaint = ""
        try:
            self._ask("changed", **self._changes(servers))
        except SchedulerFailed as error:
            self._complaint = str(error)

    def __deepcopy__(self, memo: dict[int, Any]) -> CustomScheduler:
        """A copy for dry runs. Raises SchedulerFailed if the state can't be copied."""
        twin = object.__new__(CustomScheduler)
        twin._complaint, twin._process = self._complaint, self._process
        twin._slot, twin._sent = self._process.new_slot(twin), self._sent
        if not self._complaint and not self._process.lost:
            twin._ask("copy", of=self._slot)
        return twin

    def _changes(self, servers: Sequence[RealServer]) -> dict[str, Any]:
        """The number of servers, and those that have changed since they were last sent."""
        before, self._sent = self._sent, list(map(_row, servers))
        known = len(before)
        changed = [(n, row) for n, row in enumerate(self._sent) if n >= known or row != before[n]]
        return {"count": len(servers), "servers": changed}

    def _ask(self, what: str, **details: Any) -> Answer:
        return self._process.ask({"do": what, "slot": self._slot, **details})


class _Stopwatch:
    """`seconds` since its creation, without those that a process spent waiting for a processor.

    So an overloaded machine is not mistaken for a scheduler that hangs, until `limit` seconds have passed.
    """

    def __init__(self, schedstats: Sequence[int], limit: float = _LONGEST_CALL) -> None:
        """`schedstats`: descriptors of the processes' files in /proc."""
        self._schedstats, self._limit = schedstats, limit
        self._began, self._waited = time.monotonic(), self._waiting()

    @property
    def seconds(self) -> float:
        passed = time.monotonic() - self._began
        if passed < _CALL_TIME or passed > self._limit:
            return passed
        return max(0.0, passed - (self._waiting() - self._waited))

    def _waiting(self) -> float:
        """Source: Documentation/scheduler/sched-stats.rst; 0 if the kernel does not count it."""
        waited = 0
        for file in self._schedstats:
            with suppress(OSError, LookupError, ValueError):
                waited += int(os.pread(file, 100, 0).split()[1])
        return waited / 1e9


class _Process:
    """The process of one service's scheduler. Raises SchedulerFailed where it does not start."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._slots = count()
        self._gone: list[int] = []  # slots no longer needed
        self.lost = ""  # why it has ended, if it has
        self._is_in_use = False  # until then, a failure refuses the rule: the service keeps its old scheduler
        self._extra_time = _EXTRA_TIME
        ours, theirs = socket.socketpair()
        self._channel = ours
        with theirs:
            try:
                self._keeper = subprocess.Popen(
                    [*_PYTHON, _PROGRAM, str(file), str(_ROOT), *filter(None, sys.path)],
                    stdin=theirs.fileno(),
                    env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise SchedulerFailed(self.describe(f"its process can't be started: {error}")) from None
        self._runner: list[int] = []  # its process id, once known
        self._schedstats: list[int] = []
        self._end = weakref.finalize(self, _end, self._keeper, ours, self._runner, self._schedstats)
        self._watch("thread-self", self._keeper.pid)
        try:
            self._runner.append(int(self._line(_Stopwatch(self._schedstats, _LONGEST_START), _START_TIMEOUT)))
        except (OSError, ValueError):
            self._lose("its process did not start")
        self._watch(self._runner[0])

    def _watch(self, *processes: str | int) -> None:
        """Also subtract the time that these processes wait for a processor."""
        for process in processes:
            with suppress(OSError):
                self._schedstats.append(os.open(f"/proc/{process}/schedstat", os.O_RDONLY | os.O_CLOEXEC))

    def new_slot(self, owner: CustomScheduler) -> int:
        """A slot for a scheduler or a copy of it; freed with its owner."""
        slot = next(self._slots)
        weakref.finalize(owner, self._gone.append, slot).atexit = False
        return slot

    def ask(self, request: dict[str, Any]) -> Answer:
        """Raises SchedulerFailed for an error in the file, or if the process has ended."""
        if self.lost:
            raise SchedulerFailed(self.lost)
        request["gone"] = self._gone[:]
        self._gone.clear()
        watch, limit = _Stopwatch(self._schedstats), self._extra_time + _CALL_TIME
        try:
            self._channel.settimeout(_LONGEST_CALL)
            self._channel.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(self._line(watch, limit))
        except TimeoutError:
            self._lose(f"it did not finish within {limit:.2g} s", self._where())
        except OSError:
            self._lose(self._how_ended())
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            self._lose("its process sent something other than an answer")
        late = watch.seconds - _CALL_TIME
        self._extra_time = min(_EXTRA_TIME, self._extra_time - (late if late > 0 else late / 10))
        if answer.get("endless"):
            self._lose(_plain(answer.get("failed")), answer.get("line"))
        if "failed" in answer:
            raise SchedulerFailed(self.describe(_plain(answer["failed"]), answer.get("line")))
        self._is_in_use = True
        return answer

    def _line(self, watch: _Stopwatch, limit: float) -> bytes:
        """The next line. Raises TimeoutError, OSError after its end, ValueError for a line too long."""
        received = b""
        while not received.endswith(b"\n"):
            received += self._part(watch, limit)
            if len(received) > _MAX_ANSWER:
                raise ValueError
        return received

    def _part(self, watch: _Stopwatch, limit: float) -> bytes:
        """Raises TimeoutError; OSError where it has ended."""
        while (left := limit - watch.seconds) > 0:
            self._channel.settimeout(left)
            with suppress(TimeoutError):
                part = self._channel.recv(_MAX_ANSWER)
                if not part:
                    raise ConnectionResetError
                return part
        raise TimeoutError

    def _where(self) -> int:
        """The line of the file that it is executing, even inside C code; 0 if unknown."""
        place = re.compile(rf'File "{re.escape(str(self._file))}", line (\d+) in'.encode())
        received, found, watch = b"", None, _Stopwatch(self._schedstats)
        with suppress(OSError):
            os.kill(self._runner[0], signal.SIGUSR1)
            while not found and len(received) < _MAX_ANSWER:
                received += self._part(watch, _LAST_WORDS)
                found = place.search(received)
        return int(found[1]) if found else 0

    def _how_ended(self) -> str:
        try:
            code = self._keeper.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            return "its process has closed its socket"
        number = -code if code < 0 else code - 128
        if number in set(signal.Signals):
            return f"its process was killed ({signal.Signals(number).name})"
        return f"its process has ended (exit code {code})"

    def _lose(self, why: str, line: object = 0) -> NoReturn:
        """Raises SchedulerFailed, now and in every later call."""
        self.lost = self.describe(why + (STOPPED if self._is_in_use else ""), line)
        self._end()
        raise SchedulerFailed(self.lost)

    def describe(self, what: str, line: object = 0) -> str:
        where = f"{self._file}, line {line}" if line and isinstance(line, int) else str(self._file)
        return f"scheduler {self._file.stem}: {where}: {what}."


def _end(
    keeper: subprocess.Popen[bytes], channel: socket.socket, runner: Sequence[int], schedstats: list[int]
) -> None:
    channel.close()
    while schedstats:
        os.close(schedstats.pop())
    if (
        keeper.poll() is None and runner
    ):  # the keeper runs, so the runner's id is still valid; the keeper ends with it
        with suppress(OSError):
            os.kill(runner[0], signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            keeper.wait(_LAST_WORDS)
    keeper.kill()
    keeper.wait()


def _row(server: RealServer) -> _Row:
    """The fields that a scheduler may read."""
    return server.address, server.method.value, _VALUES(server), _COUNTS(server.stats)


def _packet(packet: Packet) -> dict[str, Any]:
    values = {name: getattr(packet, name) for name in _FIELDS}
    return {**values, "payload": packet.payload.decode("latin-1")}


def _plain(value: object) -> str:
    """One printable line of bounded length."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value)[: 2 * _MAX_SENTENCE])
    return text if len(text) <= _MAX_SENTENCE else f"{text[: _MAX_SENTENCE - 3]}..."
