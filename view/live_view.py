"""`--view`: watch a lab while it runs.

    before the sandbox is entered      the listening socket is opened, so that browsers outside reach it
    inside it, once the lab is built   a process of its own (process.py) is started, and gets the socket

So the lab's own processes do no extra work.
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

GENERATION = 10_000_000  # distance between the first item ids before and after an exercise is reset


class LiveView:
    """One lab's view: created before the sandbox is entered, started (`start`) inside."""

    def __init__(self, options: ViewOptions) -> None:
        self._options = options
        self._secret = new_secret()
        self._socket = open_socket(options.view_host, options.view_port)
        self._netem = has_netem()
        self._caller = pidfd_of_caller()  # the sandbox will hide it
        announce(self._socket, f"{self._secret}/")

    def start(self, running: RunningLab, about: Mapping[str, Any] | None = None) -> None:
        """Start the serving process; `about` is the content of an exercise's lab.json."""
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
        with suppress(BrokenPipeError):  # the process has ended: its log says why
            # as an argument, all users could read the secret
            process.stdin.write(json.dumps(config).encode())
            process.stdin.close()

    def stay(self) -> None:
        """Keep the lab running until Ctrl-C, a signal, or the end of the shell or program that started it."""
        console = make_console()
        for line in (*address_lines(self._socket, f"{self._secret}/"), "The lab stays: Ctrl-C ends it."):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            wait_for(self._caller)
