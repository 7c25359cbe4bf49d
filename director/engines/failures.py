"""A packet that brings down whoever looks at it costs itself, and nothing else.

No packet should: each kind of failure is a fault of the director, told once with its trace, so that it
can be mended; all of them are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from traceback import extract_tb, format_exception
from typing import Any

_MOST = 64  # kinds that are told, and lines of a trace
_SHOWN = 96  # bytes of the frame


class Failures:
    """Counts and tells what went wrong; a kind is an exception's class and the line that raised it."""

    def __init__(self) -> None:
        self.count = 0
        self._told: set[tuple[type[Exception], str, int | None]] = set()

    def note(self, error: Exception, frame: bytes, tell: Callable[[Mapping[str, Any]], None]) -> None:
        """`frame` was lost to `error`; `tell` is called with what to say about it, once per kind."""
        self.count += 1
        last = extract_tb(error.__traceback__)[-1]
        kind = type(error), last.filename, last.lineno
        if kind in self._told or len(self._told) >= _MOST:
            return
        self._told.add(kind)
        lines = "".join(format_exception(error)).splitlines()
        why = f"{type(error).__name__} while a packet was looked at: a fault of the director"
        tell({"why": why, "frame": frame[:_SHOWN].hex(), "trace": lines[-_MOST:]})
