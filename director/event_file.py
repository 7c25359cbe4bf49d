"""Events as lines of JSON in a file. Writing never blocks a packet and never ends the director.

Events that can't be written (a full disk, a pipe without a reader) are counted and left out, and so are those
beyond a rate and a file size, which clients could otherwise exhaust. The next line that can be written is
{"kind": "lost", "count": N, "why": ...}.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from director.core.events import Event

RATE = 1000.0  # events per second in the long run
BURST = 20_000  # events at once: more than a lab's whole run
MAX_SIZE = 64 * 1024 * 1024  # bytes of the file
_RETRY = 1.0  # seconds after a failed write


def seconds_since_the_epoch() -> Callable[[], float]:
    """A monotonic clock that starts at the time of day."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class EventFile:
    """Appends to `path`; `clock` returns seconds. Raises OSError if the file can't be opened."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666
        )
        found = os.fstat(self._descriptor)
        self._is_file = stat.S_ISREG(found.st_mode)
        self._size = found.st_size if self._is_file else 0
        self._clock = clock
        self._tokens, self._filled = float(BURST), clock()
        self._blocked_until = 0.0
        self.lost = 0
        self._why = ""

    def write(self, event: Event) -> None:
        """Write the event, or count it as lost."""
        now = self._clock()
        why = self._refusal(now)
        if not why and self.lost:
            why = self._append(self._lost_line(event.time), now)
            if not why:
                self.lost = 0
        if not why:
            why = self._append(event.as_dict(), now)
        if why:
            self.lost += 1
            self._why = why

    def _refusal(self, now: float) -> str:
        """Why this event may not be written; empty if it may."""
        if now < self._blocked_until:
            return self._why
        self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
        self._filled = now
        if self._tokens < 1:
            return f"more than {RATE:.0f} events a second"
        if self._size >= MAX_SIZE:
            return f"the file has reached {MAX_SIZE} bytes"
        self._tokens -= 1
        return ""

    def _lost_line(self, time: float) -> dict[str, object]:
        return {"kind": "lost", "time": time, "count": self.lost, "why": self._why}

    def _append(self, entry: dict[str, object], now: float) -> str:
        """Write one line, whole or not at all; returns why it could not be written."""
        line = json.dumps(entry).encode() + b"\n"
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            self._blocked_until = now + _RETRY
            return error.strerror or str(error)
        if written < len(line):
            self._blocked_until = now + _RETRY
            self._take_back(written)
            return "No space left on device"
        self._size += written
        return ""

    def _take_back(self, written: int) -> None:
        """Remove a line that a full disk has cut short; in a pipe it stays."""
        try:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
        except OSError:
            self._size += written

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.lost:
            self._append(self._lost_line(self._clock()), self._clock())
        os.close(self._descriptor)
