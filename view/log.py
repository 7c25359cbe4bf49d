"""The items of a story, kept for all open pages: appended by one thread, read by many streams.

Items are kept as JSON text, once for all pages; a page costs only its position. When there are too many, the
oldest are dropped, and a page that still needs them learns how many it has missed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

MOST = 400_000  # items, about 200 MB
_BATCH = 500  # items in one message
_BATCH_SIZE = 256 * 1024  # bytes in one message


class Log:
    """Items with consecutive ids; of an endless run, the newest `most`."""

    def __init__(self, most: int = MOST, first: int = 1) -> None:
        """`first`: the id of the first item."""
        self._most = most
        self._begin = first
        self._kept: tuple[int, list[str]] = (first, [])  # the first id, and the items: replaced at once

    @property
    def last(self) -> int:
        """The id of the newest item; 0 if there is none."""
        first, lines = self._kept
        return first + len(lines) - 1

    def add(self, items: Iterable[dict[str, Any]]) -> None:
        """Append items; their ids continue from the last one."""
        first, lines = self._kept
        lines += [json.dumps(item, separators=(",", ":")) for item in items]
        if len(lines) > self._most:
            # a tenth at once, since each drop copies the list
            gone = len(lines) - self._most + self._most // 10
            self._kept = first + gone, lines[gone:]

    def after(self, number: int) -> tuple[int, str, int]:
        """The items after `number`: the last id among them, a JSON list, and the number of items lost.

        If there is nothing new, the id is `number` again and the list is empty.
        """
        first, lines = self._kept
        if not self._begin <= number < first + len(lines):  # no item yet, or another run's
            number = self._begin - 1
        begin = max(0, number + 1 - first)
        batch, size = [], 0
        for line in lines[begin : begin + _BATCH]:
            batch.append(line)
            size += len(line)
            if size > _BATCH_SIZE:
                break
        last = first + begin + len(batch) - 1 if batch else number
        return last, f"[{','.join(batch)}]", max(0, first - 1 - number) if batch else 0
