"""The OpenFlow controller of a lab, as a process of the sandbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from labs.controller.client import ControllerClient
from labs.hosts.daemon import Daemon
from labs.network.emulation import CONTROLLER_PORT
from labs.run.evidence import Evidence

SOCKET = "/run/lvs-controller.sock"


class ControllerProcess:
    """`client` asks it for counters and ARP claims once `wait` has returned."""

    def __init__(self, framework: str, evidence: Evidence) -> None:
        self._framework = framework
        self._log = evidence.log("controller")
        self._daemon: Daemon | None = None
        self.client = ControllerClient(SOCKET)

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "labs.controller",
            "--port",
            str(CONTROLLER_PORT),
            "--socket",
            SOCKET,
        ]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [*command, "--framework", self._framework],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the lab's prompt is not for it
            )
        self._daemon = Daemon("The controller", process, self._log)

    def wait(self) -> None:
        assert self._daemon is not None
        self._daemon.wait(Path(SOCKET).exists, "the controller's control socket")
