"""What lvs-director, lvs-monitor, lvs-vrrp and lvs-heartbeat share at the command line."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import NoReturn

from director.control.cli import ToolError, print_output


class Parser(argparse.ArgumentParser):
    """Prints what is wrong in one sentence instead of the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}.\n")

    def print_help(self, _file: object = None) -> None:
        try:
            print_output(self.format_help())
        except ToolError as error:
            self.exit(2, f"{self.prog}: {error}\n")


def say(program: str, sentence: str) -> None:
    """Print a line on standard error, for people or the journal, which adds the time; never fails."""
    with contextlib.suppress(OSError):
        print(f"{program}: {sentence}", file=sys.stderr, flush=True)
