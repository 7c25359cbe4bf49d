"""The lab's own processes: a director, the OpenFlow controller, and a tcpdump per interface.

The director starts with an empty table and gets its rules from ippfvsadm, as outside a lab. A capture begins
before the first packet of a client and lasts to the end; its file, `INTERFACE.pcap` in the run's folder, is
for the checks and for Wireshark.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from director.control.channel import ChannelError, call
from director.core.real_server import Method
from labs.controller.controller_client import ControllerClient
from labs.hosts.environment import DIRECTOR
from labs.hosts.host import Daemon, Host
from labs.network.emulation import CONTROLLER_PORT
from labs.run.evidence import Evidence
from labs.run.options import LabOptions
from labs.wait import patient
from realserver_setup.render import Script, start_for


class DirectorProcess:
    """A director: `socket` is the lab's path to its control socket, which is at DIRECTOR on its host."""

    def __init__(
        self, host: Host, method: Method, options: LabOptions, evidence: Evidence, socket: str = DIRECTOR
    ) -> None:
        self.host = host
        self.socket = socket
        self.events = evidence.events_of(host.name)
        command = [
            *("lvs-director", "--method", method.name.lower()),
            *("--scheduler", options.scheduler, "--engine", options.engine),
            *("--socket", DIRECTOR, "--events", str(self.events)),
        ]
        self.script = start_for(host.name, command)
        self._log = evidence.log("director" if host.name == "d" else f"director-{host.name}")
        self._daemon: Daemon | None = None

    @property
    def scripts(self) -> tuple[Script, ...]:
        """Its scripts other than the set-up script and the rules."""
        return (self.script,)

    def start(self, script: Script) -> None:
        """Start it with `script`, its own or an edited one; `wait` returns once it forwards."""
        process = self.host.start([script.interpreter, "-c", script.text, script.name], self._log)
        self._daemon = Daemon("The director", process, self._log)

    def wait(self) -> None:
        self._running().wait(Path(self.socket).exists, "the director's control socket")

    def _running(self) -> Daemon:
        assert self._daemon is not None
        return self._daemon

    @property
    def pid(self) -> int:
        return self._running().process.pid

    def ask(self, what: str) -> dict[str, Any]:
        """Send a request to its control socket and return the answer. Raises ChannelError."""
        try:
            return call(self.socket, {"do": what}, timeout=patient(20))
        except ChannelError as error:
            ended = self._daemon.ended() if self._daemon else ""
            if not ended:
                raise
            # The answer may come from another director, started on the host since.
            raise ChannelError(f"{error} {ended}") from None

    def owns_vip(self) -> bool:
        """Whether this is the active director; a single one always is."""
        return True

    def connections_by_server(self) -> dict[tuple[str, int], int]:
        """(RIP, port) -> number of connections that the director has scheduled to it."""
        rules = self.ask("list")["services"]
        return {
            (server["address"], server["port"]): server["connections"]
            for service in rules
            for server in service["servers"]
        }


SOCKET = "/run/lvs-controller.sock"


class ControllerProcess:
    """`client` queries it for counters and ARP packets once `wait` has returned."""

    def __init__(self, framework: str, evidence: Evidence, *, ipv6: bool = False) -> None:
        self._options = ["--framework", framework, *(["--ipv6"] if ipv6 else [])]
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
                [*command, *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the lab's prompt must not reach it
            )
        self._daemon = Daemon("The controller", process, self._log)

    def wait(self) -> None:
        assert self._daemon is not None
        self._daemon.wait(Path(SOCKET).exists, "the controller's control socket")


_SNAPLEN = "192"  # bytes: Ethernet, IPIP, IP and TCP with options are 94, of IPv6 154


class Capture:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._running: list[Daemon] = []

    def start(self, host: Host, interfaces: Mapping[str, str]) -> None:
        """Start captures, {name of the file: interface}; `wait` returns once all of them run."""
        for name, interface in interfaces.items():
            target = self._evidence.pcaps / f"{name}.pcap"
            command = ["tcpdump", "-i", interface, "-w", str(target), "-s", _SNAPLEN]
            # Written packet by packet, as the user who started it: checks read the file while it grows.
            command += ["-U", "--immediate-mode", "-Z", "root", "-n", "-B", "1024"]
            log = self._evidence.log(f"tcpdump-{name}")
            self._running.append(Daemon(f"tcpdump of {name}", host.start(command, log), log))

    def wait(self) -> None:
        """Wait until every tcpdump is listening."""
        for daemon in self._running:
            daemon.wait(partial(_listens, daemon.log), daemon.name)


def _listens(log: Path) -> bool:
    return "listening on" in log.read_text(errors="replace")
