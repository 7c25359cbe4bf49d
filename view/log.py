"""The items of a story, kept for every page that is open: appended by one thread, read by many streams.

Items are kept as JSON text, once for all pages; a page costs its position. When there are too many, the
oldest go, and a page that still needs them is told how many it has missed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

MOST = 400_000  # items, some 200 MB
_BATCH = 500  # items of one message
_BATCH_SIZE = 256 * 1024  # bytes of one message


class Log:
    """Items whose ids follow on; of an endless run, the newest `most`."""

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
        """Append items; their ids follow that of the last one."""
        first, lines = self._kept
        lines += [json.dumps(item, separators=(",", ":")) for item in items]
        if len(lines) > self._most:
            gone = len(lines) - self._most + self._most // 10  # not one by one
            self._kept = first + gone, lines[gone:]

    def after(self, number: int) -> tuple[int, str, int]:
        """What follows the item `number`: the last id in it, a JSON list, and how many are lost.

        With nothing new, the id is `number` again and the list is empty.
        """
        first, lines = self._kept
        if not self._begin <= number < first + len(lines):  # none yet, or of another run
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
