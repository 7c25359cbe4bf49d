"""Makes printing and reading never fail: a character that the terminal lacks is replaced by a plain one.

A terminal in Latin-1 or the C locale has no box-drawing characters, bullets or arrows, and no encoding has
the bytes of a file name that is not text. Standard library only, because every command imports this.
"""

from __future__ import annotations

import codecs
import sys
from typing import TextIO

_PLAIN = "plain"
# One character for one, so that tables keep their columns.
_REPLACEMENTS = {
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
    """An error handler for codecs.register_error."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_replacement, error.object[error.start : error.end])), error.end


def _replacement(letter: str) -> str:
    if "╭" <= letter <= "╰" or "┌" <= letter <= "╬":
        return _REPLACEMENTS.get(letter, "+")
    return _REPLACEMENTS.get(letter, "?")


def never_fail() -> None:
    """Let the standard streams accept everything; the user's encoding is kept."""
    codecs.register_error(_PLAIN, _plain)
    _reconfigure(sys.stdout, _PLAIN)
    _reconfigure(sys.stderr, _PLAIN)
    _reconfigure(sys.stdin, "replace")


def _reconfigure(stream: TextIO | None, errors: str) -> None:
    """Do nothing to a stream that is closed or replaced."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure:
        reconfigure(errors=errors)
