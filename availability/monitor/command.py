"""lvs-monitor FILE: check real servers as keepalived.conf says, and keep the director's rules accordingly.

Exit codes: 0 stopped, or the file is valid; 2, with one sentence, if the file or the machine does
not allow it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from availability.command_line import Parser
from availability.config import ConfigError, config_reader
from availability.monitor import from_rules
from availability.monitor.monitor import PROGRAM, CannotRun, Settings, count, run
from availability.monitor.monitored_rules import Rules, RulesError
from availability.vrrp import instances, sync_follower
from director.control import SOCKET, SOCKET_VARIABLE
from director.control.cli import ToolError, print_output
from director.launcher import say


def parser() -> Parser:
    made = Parser(prog=PROGRAM, description="Health checks of real servers: see docs/availability.md.")
    add = made.add_argument
    add(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="a file in the syntax of keepalived.conf; SIGHUP reads it again",
    )
    add("--check", action="store_true", help="only say whether the file is valid, as keepalived -t does")
    add("--from-rules", action="store_true", help="print a file for the rules that the director has")
    add("--socket", default=os.environ.get(SOCKET_VARIABLE) or SOCKET, help="the director's control socket")
    add("--no-vrrp", action="store_true", help="ignore the file's virtual routers")
    made.add_common_options()
    return made


def main(arguments: list[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(arguments)
    if bool(options.file) == options.from_rules:
        made.error("expected a FILE, or --from-rules and none" if options.file else "expected a FILE")
    settings = Settings(options.file, options.config_id, options.socket, options.events, not options.no_vrrp)
    try:
        if options.from_rules:
            print_output(from_rules.text(Rules(options.socket).services()))
        elif options.check:
            configuration = config_reader.load(options.file, options.config_id)
            routers, _ = instances.read(configuration)
            sync_follower.read(configuration.settings, [instance.settings for instance in routers])
            print_output(
                f"{options.file} is valid: {count(configuration)}, virtual routers {len(routers)}.\n"
            )
        else:
            run(settings)
    except (CannotRun, ConfigError, RulesError, ToolError) as error:
        say(PROGRAM, str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
