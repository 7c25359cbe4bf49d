"""Text that came from somebody else, made fit to be shown: one line, printable, of bounded length."""

from __future__ import annotations

import re

_MOST = 300


def sanitize(text: object, most: int = _MOST) -> str:
    """What can't be printed (terminal codes, halves of letters, changes of direction) becomes `?`."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in _spaced(str(text)[: 2 * most]))
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def natural_key(text: str) -> list[tuple[int, str]]:
    """A sort key for which s2 comes before s10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", text) if part]


def _spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
