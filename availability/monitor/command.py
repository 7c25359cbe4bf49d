"""lvs-monitor FILE: check real servers as keepalived.conf says, and keep the director's rules accordingly.

Exit codes: 0 stopped, or the file is valid; 2, with one sentence, where the file or the machine forbids it.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path
from typing import NoReturn

from availability.config import ConfigError, model
from director.control.cli import ToolError, print_output

PROGRAM = "lvs-monitor"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence instead of the usage."""
        self.exit(2, f"{self.prog}: {message}.\n")

    def print_help(self, _file: object = None) -> None:
        try:
            print_output(self.format_help())
        except ToolError as error:
            self.exit(2, f"{self.prog}: {error}\n")


def parser() -> _Parser:
    made = _Parser(prog=PROGRAM, description="Health checks of real servers: see docs/availability.md.")
    add = made.add_argument
    add("file", type=Path, metavar="FILE", help="a file in the syntax of keepalived.conf")
    add("--check", action="store_true", help="only say whether the file is valid, as keepalived -t does")
    add("--config-id", default=platform.node().partition(".")[0], metavar="NAME", help="for lines with @NAME")
    return made


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        configuration = model.load(options.file, options.config_id)
        print_output(summary(options.file, configuration))
    except (ConfigError, ToolError) as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return 2
    return 0


def summary(file: Path, configuration: model.Configuration) -> str:
    """A line that counts what a file contains."""
    real = [server for virtual in configuration.servers for server in virtual.servers]
    checks = sum(len(server.checks) for server in real)
    virtual = len(configuration.servers)
    return f"{file} is valid: virtual servers {virtual}, real servers {len(real)}, checks {checks}.\n"


if __name__ == "__main__":
    sys.exit(main())
