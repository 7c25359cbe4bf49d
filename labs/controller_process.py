"""The OpenFlow controller of a lab, as a process of the sandbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from labs.controller.client import ControllerClient
from labs.errors import BuildFailed
from labs.evidence import Evidence
from labs.network import CONTROLLER_PORT
from labs.wait import wait_for

SOCKET = "/run/lvs-controller.sock"


class ControllerProcess:
    """`client` asks it for counters and ARP claims once `wait` has returned."""

    def __init__(self, framework: str, evidence: Evidence) -> None:
        self._framework = framework
        self._log = evidence.log("controller")
        self._process: subprocess.Popen[bytes] | None = None
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
            self._process = subprocess.Popen(
                [*command, "--framework", self._framework], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait(self) -> None:
        wait_for(self._listens, 60, "the controller's control socket", BuildFailed)

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise BuildFailed(f"The controller ended: {self._log.read_text().strip()}")
        return Path(SOCKET).exists()
