"""`--view`: a lab that is watched while it runs.

    opened before the sandbox is entered   the listening socket, so that browsers outside reach it
    started inside it, once it is built    a process of its own (process.py), which gets the socket

So the lab's own processes do nothing more than without a view.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labs.hosts.environment import ROOT
from labs.machine.capabilities import has_netem
from labs.run.options import ViewOptions
from labs.terminal.screen import make_console
from view import run
from view.command import (
    address_lines,
    announce,
    new_secret,
    open_socket,
    pidfd_of_caller,
    wait_for,
)

if TYPE_CHECKING:
    from labs.run.running import RunningLab

GENERATION = 10_000_000  # ids of items begin again when an exercise is reset


class LiveView:
    """One lab's view; `open` before the sandbox is entered, `start` inside."""

    def __init__(self, options: ViewOptions) -> None:
        self._options = options
        self._secret = new_secret()
        self._socket = open_socket(options.view_host, options.view_port)
        self._netem = has_netem()
        self._caller = pidfd_of_caller()  # before the sandbox, which hides it
        announce(self._socket, f"{self._secret}/")

    def start(self, running: RunningLab, about: Mapping[str, Any] | None = None) -> None:
        """Start the process that serves; `about` is what lab.json says of an exercise."""
        folder, about = running.evidence.folder, about or {}
        (folder / run.SETTLED).write_text(json.dumps({"started": run.started(folder)}) + "\n")
        config = {
            "folder": str(folder),
            "socket": self._socket.fileno(),
            "secret": self._secret,
            "host": self._options.view_host,
            "view_only": self._options.view_only,
            "hosts": {name: host.pid for name, host in running.network.hosts.items()},
            "exercise": about.get("exercise"),
            "first": int(about.get("resets", 0)) * GENERATION + 1,
            "netem": self._netem,
            "method": running.plan.method.name.lower(),
            "directors": {director.host.name: director.socket for director in running.directors},
        }
        with running.evidence.log("view").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "view.process"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                pass_fds=(self._socket.fileno(),),
                start_new_session=True,  # Ctrl-C at the lab's prompt must not reach it
            )
        assert process.stdin
        with suppress(BrokenPipeError):  # it has ended: its log says why
            process.stdin.write(json.dumps(config).encode())  # in arguments, all could read the secret
            process.stdin.close()

    def stay(self) -> None:
        """Keep the lab until Ctrl-C, a signal, or the end of the shell or program that started it."""
        console = make_console()
        for line in (*address_lines(self._socket, f"{self._secret}/"), "The lab stays: Ctrl-C ends it."):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            wait_for(self._caller)
