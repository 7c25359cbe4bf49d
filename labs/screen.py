"""What people see: as wide as their terminal, and plain text of one width where there is none."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console

WIDE = 150  # columns of tables with much in them, where no terminal tells its own
_PIPED = 132


def is_terminal() -> bool:
    return sys.stdout.isatty()


def screen(piped: int = _PIPED, *, quiet: bool = False) -> Console:
    """Standard output; `quiet`, nothing of it."""
    return Console(width=None if is_terminal() else piped, highlight=False, quiet=quiet)


def frame() -> box.Box:
    """What tables are drawn with: ASCII where no terminal shows them."""
    return box.ROUNDED if is_terminal() else box.ASCII2
