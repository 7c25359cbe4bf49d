"""A scheduler of one's own: a file like those of core/schedulers/, read anew for each service that uses it.

It is named after its file, and may be wrong: what it does is watched, so that it can neither end the
director nor hold it up for ever. What is wrong is said in one sentence with the file's line, to whoever
gives the rule (`ipvsadm -A ... -s NAME`), or as the reason why a connection was refused.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from director.core import schedulers
from director.core.errors import BadValue, SchedulerFailed

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.schedulers import Pick, Scheduler
    from director.core.service import RealServer

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,14}", re.ASCII)  # ipvsadm's longest has 15 letters
_MOST_STEPS = 500_000  # bytecodes of the file, for one call


class _Endless(BaseException):
    """Not an Exception: a file that catches all of those is stopped as well."""


def add(file: Path) -> None:
    """Let services use the scheduler that `file` defines. Raises BadValue for a file that can't be one."""
    if not file.is_file():
        raise BadValue("scheduler file", "a file that is there", str(file))
    name = file.stem
    if not _NAME.fullmatch(name) or name in schedulers.names():
        raise BadValue(
            "scheduler file", "a new name of up to 15 letters, digits and _, ending in .py", file.name
        )
    schedulers.add(name, partial(Watched, file))


class Watched:
    """The scheduler in `file`, for one service. Raises SchedulerFailed, here and in `pick`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._complaint = ""
        self._own: Scheduler = self._watch(partial(_make, file))

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        if self._complaint:
            raise SchedulerFailed(self._complaint)
        picked: object = self._watch(lambda: self._own.pick(tuple(servers), packet, now))
        if picked is None:
            return None
        if not (isinstance(picked, tuple) and len(picked) == 2 and isinstance(picked[1], str)):
            raise SchedulerFailed(self._says(f"pick: expected None or (server, why), got {picked!r}"))
        server = next((one for one in servers if one is picked[0]), None)
        if server is None or not server.available:
            what = getattr(picked[0], "address", picked[0])
            raise SchedulerFailed(self._says(f"pick: expected an available server of the list, got {what}"))
        return server, picked[1]

    def changed(self, servers: Sequence[RealServer]) -> None:
        """The rules are changed already: a failure is told when a connection comes."""
        self._complaint = ""
        try:
            self._watch(lambda: self._own.changed(tuple(servers)))
        except SchedulerFailed as error:
            self._complaint = str(error)

    def __deepcopy__(self, memo: dict[int, Any]) -> Watched:
        """For what is only rehearsed. Raises SchedulerFailed where it remembers what can't be copied."""
        twin = object.__new__(Watched)
        twin._file, twin._complaint = self._file, self._complaint
        twin._own = self._watch(lambda: deepcopy(self._own, memo))
        return twin

    def _watch(self, work: Callable[[], T]) -> T:
        """What `work` returns, unless it fails or takes too many steps in the file."""
        before = sys.gettrace()
        sys.settrace(_limit(str(self._file)))
        try:
            return work()
        except (Exception, SystemExit, _Endless) as error:  # noqa: BLE001  whatever is in the file
            raise SchedulerFailed(self._says(_told(error), _line(error, str(self._file)))) from None
        finally:
            sys.settrace(before)

    def _says(self, what: str, line: int = 0) -> str:
        where = f"{self._file}, line {line}" if line else str(self._file)
        return f"scheduler {self._file.stem}: {where}: {what}."


def _limit(file: str) -> Callable[[FrameType, str, Any], Any]:
    """A trace function that counts the steps of `file`: not its lines, for a loop may be all in one."""
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


def _make(file: Path) -> Scheduler:
    """Run the file as a module, and make what it defines."""
    module = ModuleType(f"own_scheduler.{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), module.__dict__)
    kind = getattr(module, "Scheduler", None)
    if kind is None:
        raise LookupError("no class Scheduler is in it")
    made: Scheduler = kind()
    for method in ("pick", "changed"):
        if not callable(getattr(made, method, None)):
            raise LookupError(f"its class Scheduler has no method {method}")
    return made


def _told(error: BaseException) -> str:
    if isinstance(error, _Endless):
        return f"it did not come to an end in {_MOST_STEPS} steps"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, LookupError) and type(error) is LookupError:
        return str(error)
    what = error.msg if isinstance(error, SyntaxError) else str(error).partition("\n")[0]
    return f"{type(error).__name__}: {what}".rstrip(". ")


def _line(error: BaseException, file: str) -> int:
    """The last line of `file` that was on the way to the error; 0 where there is none."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno or 0
    lines = [place.lineno for place in traceback.extract_tb(error.__traceback__) if place.filename == file]
    return lines[-1] or 0 if lines else 0
