"""What is printed and typed is never an error: a sign that the terminal does not have becomes a plain one.

A terminal in Latin-1 or in the C locale has no frames, dots or arrows, and no encoding has the bytes of a
file name that are no text. Standard library only: every command comes through here.
"""

from __future__ import annotations

import codecs
import sys
from typing import TextIO

_PLAIN = "plain"
# One for one, so that tables keep their columns.
_SIGNS = {
    **dict.fromkeys("─━═╌╍┄┅╴╶╸╺", "-"),
    **dict.fromkeys("│┃║▌▎┆┇", "|"),
    **dict.fromkeys("•●∙·✓✔", "*"),
    **dict.fromkeys("–—−", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”„", '"'),
    "…": ".",
    "→": ">",
    "←": "<",
    "↑": "^",
    "↓": "v",
    "\N{NO-BREAK SPACE}": " ",
}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """For codecs.register_error."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_sign, error.object[error.start : error.end])), error.end


def _sign(letter: str) -> str:
    if "╭" <= letter <= "╰" or "┌" <= letter <= "╬":
        return _SIGNS.get(letter, "+")
    return _SIGNS.get(letter, "?")


def never_fail() -> None:
    """Let standard output, error and input take everything; the encoding stays what the user has set."""
    codecs.register_error(_PLAIN, _plain)
    _reconfigure(sys.stdout, _PLAIN)
    _reconfigure(sys.stderr, _PLAIN)
    _reconfigure(sys.stdin, "replace")


def _reconfigure(stream: TextIO | None, errors: str) -> None:
    """Nothing for one that is closed, or that somebody has put another in the place of."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure:
        reconfigure(errors=errors)
