"""A scheduler of one's own: a file like those of core/schedulers/, read anew for each service that uses it.

It is named after its file, and may be wrong: it runs in a process of its own (custom_scheduler_worker.py), so
it can neither end the director nor hold it up: a connection may take 20 ms, and all that take longer a second
more. What is wrong is said in one sentence with the file's line, to whoever gives the rule
(`ipvsadm -A ... -s NAME`), or as the reason why a connection was refused. Where the process has ended, or did
not answer in time, it is not started again: new connections are refused until a service begins to use
the scheduler again.
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
from typing import TYPE_CHECKING, Any, NoReturn

from director.core import schedulers
from director.core.errors import BadValue, SchedulerFailed
from director.core.packet import Packet
from director.core.statistics import COUNTERS
from director.custom_scheduler_worker import SERVER, Answer

if TYPE_CHECKING:
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick

_NAME = re.compile(r"[a-z][a-z0-9_]{0,14}", re.ASCII)  # ipvsadm's longest has 15 letters
_ROOT = Path(__file__).resolve().parent.parent
_PYTHON = (sys.executable, "-I", "-S", "-B", "-c")  # with our path it is there in half of the time
_PROGRAM = (
    "import sys; sys.path[:0] = sys.argv[2:];"
    "from director.custom_scheduler_worker import main; main(sys.argv[1])"
)
_STARTS = 10.0  # seconds for Python to be there; a tenth of one is enough where the machine is idle
_QUICK = 0.02  # seconds that every call may take; a tenth of a millisecond is enough
_PATIENCE = 1.0  # seconds beyond, for all calls; quick ones earn some of it back
_LAST_WORDS = 1.0  # seconds for the line where it is, when it did not answer, or for how it has ended
_LONGEST = 65_536  # bytes of an answer
_SENTENCE = 300  # characters of what it says
_FIELDS = tuple(
    field.name
    for field in fields(Packet)
    if field.name not in ("payload", "embedded", "bad_checksum", "options")
)
_VALUES, _COUNTS = attrgetter(*SERVER), attrgetter(*COUNTERS)
_Row = tuple[Any, ...]
STOPPED = "; no connection gets a server until the service is given the scheduler anew"


def add(file: Path) -> None:
    """Let services use the scheduler that `file` defines. Raises BadValue for a file that can't be one."""
    if not file.is_file():
        raise BadValue("scheduler file", "a file that is there", str(file))
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
        self._sent: list[_Row] = []  # what the process knows of the servers
        self._process = _Process(file)
        self._slot = self._process.new_slot(self)
        self._ask("make")

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        if self._complaint:
            raise SchedulerFailed(self._complaint)
        answer = self._ask("pick", **self._news(servers), packet=_packet(packet), now=now)
        place = answer.get("place")
        if place is None:
            return None
        if type(place) is not int or not 0 <= place < len(servers) or not servers[place].available:
            raise SchedulerFailed(self._process.says("pick: expected an available server of the list"))
        return servers[place], _plain(answer.get("why"))

    def changed(self, servers: Sequence[RealServer]) -> None:
        """The rules are changed already: a failure is told when a connection comes."""
        self._complaint = ""
        try:
            self._ask("changed", **self._news(servers))
        except SchedulerFailed as error:
            self._complaint = str(error)

    def __deepcopy__(self, memo: dict[int, Any]) -> CustomScheduler:
        """For what is only rehearsed. Raises SchedulerFailed where it remembers what can't be copied."""
        twin = object.__new__(CustomScheduler)
        twin._complaint, twin._process = self._complaint, self._process
        twin._slot, twin._sent = self._process.new_slot(twin), self._sent
        if not self._complaint and not self._process.lost:
            twin._ask("copy", of=self._slot)
        return twin

    def _news(self, servers: Sequence[RealServer]) -> dict[str, Any]:
        """How many they are, and those that are not as they were when they were last sent."""
        before, self._sent = self._sent, list(map(_row, servers))
        known = len(before)
        news = [(n, row) for n, row in enumerate(self._sent) if n >= known or row != before[n]]
        return {"count": len(servers), "servers": news}

    def _ask(self, what: str, **details: Any) -> Answer:
        return self._process.ask({"do": what, "slot": self._slot, **details})


class _Stopwatch:
    """`seconds` since it was made, without those in which one of these processes waited for a processor.

    So a machine that has too much to do is not taken for a scheduler that hangs; ten seconds are, anyway.
    """

    def __init__(self, schedstats: Sequence[int]) -> None:
        """`schedstats`: descriptors of their files in /proc."""
        self._schedstats = schedstats
        self._began, self._waited = time.monotonic(), self._waiting()

    @property
    def seconds(self) -> float:
        passed = time.monotonic() - self._began
        if passed < _QUICK or passed > _STARTS:
            return passed
        return max(0.0, passed - (self._waiting() - self._waited))

    def _waiting(self) -> float:
        """Documentation/scheduler/sched-stats.rst; 0 where the kernel does not count that."""
        waited = 0
        for file in self._schedstats:
            with suppress(OSError, LookupError, ValueError):
                waited += int(os.pread(file, 100, 0).split()[1])
        return waited / 1e9


class _Process:
    """The process of one service's scheduler. Raises SchedulerFailed where it can't be started."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._slots = count()
        self._gone: list[int] = []  # slots that are not needed any more
        self.lost = ""  # why there is none any more
        self._is_in_use = False  # until then a failure is a refusal, and the service keeps its scheduler
        self._patience = _PATIENCE
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
                raise SchedulerFailed(self.says(f"no process can be started for it: {error}")) from None
        self._runner: list[int] = []  # its number, when it is known
        self._schedstats: list[int] = []
        self._end = weakref.finalize(self, _end, self._keeper, ours, self._runner, self._schedstats)
        try:
            self._runner.append(int(self._line(_Stopwatch(()), _STARTS)))
        except (OSError, ValueError):
            self._lose("its process did not start")
        for whose in ("thread-self", self._runner[0]):
            with suppress(OSError):
                self._schedstats.append(os.open(f"/proc/{whose}/schedstat", os.O_RDONLY | os.O_CLOEXEC))

    def new_slot(self, owner: CustomScheduler) -> int:
        """Of a scheduler or a copy of it; it is given up when its owner is."""
        slot = next(self._slots)
        weakref.finalize(owner, self._gone.append, slot).atexit = False
        return slot

    def ask(self, request: dict[str, Any]) -> Answer:
        """Raises SchedulerFailed for what the file has done, or for a process that is lost."""
        if self.lost:
            raise SchedulerFailed(self.lost)
        request["gone"] = self._gone[:]
        self._gone.clear()
        watch, most = _Stopwatch(self._schedstats), self._patience + _QUICK
        try:
            self._channel.settimeout(_STARTS)
            self._channel.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(self._line(watch, most))
        except TimeoutError:
            self._lose(f"it did not come to an end in {most:.2g} s", self._where())
        except OSError:
            self._lose(self._how_ended())
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            self._lose("its process has written something that is no answer")
        late = watch.seconds - _QUICK
        self._patience = min(_PATIENCE, self._patience - (late if late > 0 else late / 10))
        if answer.get("endless"):
            self._lose(_plain(answer.get("failed")), answer.get("line"))
        if "failed" in answer:
            raise SchedulerFailed(self.says(_plain(answer["failed"]), answer.get("line")))
        self._is_in_use = True
        return answer

    def _line(self, watch: _Stopwatch, most: float) -> bytes:
        """What it says next. Raises TimeoutError; OSError where it has ended; ValueError for too much."""
        said = b""
        while not said.endswith(b"\n"):
            said += self._part(watch, most)
            if len(said) > _LONGEST:
                raise ValueError
        return said

    def _part(self, watch: _Stopwatch, most: float) -> bytes:
        """Raises TimeoutError; OSError where it has ended."""
        while (left := most - watch.seconds) > 0:
            self._channel.settimeout(left)
            with suppress(TimeoutError):
                part = self._channel.recv(_LONGEST)
                if not part:
                    raise ConnectionResetError
                return part
        raise TimeoutError

    def _where(self) -> int:
        """The line of the file where it is now, or 0: it writes that down even in the middle of C code."""
        place = re.compile(rf'File "{re.escape(str(self._file))}", line (\d+) in'.encode())
        said, found, watch = b"", None, _Stopwatch(self._schedstats)
        with suppress(OSError):
            os.kill(self._runner[0], signal.SIGUSR1)
            while not found and len(said) < _LONGEST:
                said += self._part(watch, _LAST_WORDS)
                found = place.search(said)
        return int(found[1]) if found else 0

    def _how_ended(self) -> str:
        try:
            code = self._keeper.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            return "its process has closed its socket"
        number = -code if code < 0 else code - 128
        if number in set(signal.Signals):
            return f"its process was ended ({signal.Signals(number).name})"
        return f"its process has ended (exit code {code})"

    def _lose(self, why: str, line: object = 0) -> NoReturn:
        """Raises SchedulerFailed, now and whenever it is asked again."""
        self.lost = self.says(why + (STOPPED if self._is_in_use else ""), line)
        self._end()
        raise SchedulerFailed(self.lost)

    def says(self, what: str, line: object = 0) -> str:
        where = f"{self._file}, line {line}" if line and isinstance(line, int) else str(self._file)
        return f"scheduler {self._file.stem}: {where}: {what}."


def _end(
    keeper: subprocess.Popen[bytes], channel: socket.socket, runner: Sequence[int], schedstats: list[int]
) -> None:
    channel.close()
    while schedstats:
        os.close(schedstats.pop())
    if keeper.poll() is None and runner:  # so its number is still its own; the keeper ends with it
        with suppress(OSError):
            os.kill(runner[0], signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            keeper.wait(_LAST_WORDS)
    keeper.kill()
    keeper.wait()


def _row(server: RealServer) -> _Row:
    """What a scheduler may look at."""
    return server.address, server.method.value, _VALUES(server), _COUNTS(server.stats)


def _packet(packet: Packet) -> dict[str, Any]:
    told = {name: getattr(packet, name) for name in _FIELDS}
    return {**told, "payload": packet.payload.decode("latin-1")}


def _plain(said: object) -> str:
    """One line that can be printed, of bounded length."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(said)[: 2 * _SENTENCE])
    return text if len(text) <= _SENTENCE else f"{text[: _SENTENCE - 3]}..."
