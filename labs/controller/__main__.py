"""Starts the controller: `python -m labs.controller --port 6653 --socket PATH [--framework NAME] [--ipv6]`.

The socket at PATH exists once switches can connect. Exits with 2 and a sentence if it can't run.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

from labs.errors import Unable

_CHOICES = {"auto": ("ryu", "os-ken"), "ryu": ("ryu",), "os-ken": ("os-ken",)}


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m labs.controller", description="The labs' OpenFlow controller."
    )
    parser.add_argument("--port", type=int, default=6653, help="TCP port for the switches, on 127.0.0.1")
    parser.add_argument("--socket", required=True, help="Unix socket for requests")
    parser.add_argument("--framework", choices=_CHOICES, default="auto", help="auto: Ryu, or else os-ken")
    parser.add_argument("--ipv6", action="store_true", help="forward IPv6, too, instead of dropping it")
    options = parser.parse_args(arguments)
    if not 1 <= options.port <= 65535:
        parser.error(f"--port {options.port}: choose from 1 to 65535")
    return options


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    # On Ctrl-C the frameworks join threads and may wait for ever; there is nothing to clean up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    first, *others = _CHOICES[options.framework]
    os.environ["LVS_CONTROLLER"] = first
    try:
        from labs.controller import framework, switch_app

        switch_app.SwitchApp.control_path = options.socket
        switch_app.SwitchApp.ipv6 = options.ipv6
        framework.run("labs.controller.switch_app", "127.0.0.1", options.port)
    except Unable as error:
        if others and "labs.controller.framework" not in sys.modules:
            print(f"{error} Trying {others[0]}.", file=sys.stderr, flush=True)
            _restart(options, others[0])
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _restart(options: argparse.Namespace, framework: str) -> None:
    """Run with the other framework, in a fresh process image."""
    command = ["--port", str(options.port), "--socket", options.socket, "--framework", framework]
    command += ["--ipv6"] if options.ipv6 else []
    os.execv(sys.executable, [sys.executable, "-m", "labs.controller", *command])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
