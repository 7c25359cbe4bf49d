"""The director of a lab: the process on host `d`, and the way to ask it things.

Started with a clean table, it is given its rules by ippfvsadm like any other director.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from director.control.channel import ChannelError, call
from director.core.real_server import Method
from labs.hosts.daemon import Daemon
from labs.hosts.environment import DIRECTOR
from labs.hosts.host import Host
from labs.run.evidence import Evidence
from labs.run.options import LabOptions
from labs.wait import patient
from realserver_setup.render import Script, start_for


class DirectorProcess:
    def __init__(self, host: Host, method: Method, options: LabOptions, evidence: Evidence) -> None:
        self._host = host
        command = [
            *("lvs-director", "--method", method.name.lower()),
            *("--scheduler", options.scheduler, "--engine", options.engine),
            *("--socket", DIRECTOR, "--events", str(evidence.events)),
        ]
        self.script = start_for(host.name, command)
        self._log = evidence.log("director")
        self._daemon: Daemon | None = None

    def start(self, script: Script) -> None:
        """Start it by `script`, its own or one like it; `wait` tells when it forwards."""
        process = self._host.start([script.interpreter, "-c", script.text, script.name], self._log)
        self._daemon = Daemon("The director", process, self._log)

    def wait(self) -> None:
        assert self._daemon is not None
        self._daemon.wait(Path(DIRECTOR).exists, "the director's control socket")

    @property
    def pid(self) -> int:
        assert self._daemon is not None
        return self._daemon.process.pid

    def ask(self, what: str) -> dict[str, Any]:
        """One request over the control socket, its answer as it came. Raises ChannelError."""
        try:
            return call(DIRECTOR, {"do": what}, timeout=patient(20))
        except ChannelError as error:
            ended = self._daemon.ended() if self._daemon else ""
            if not ended:
                raise
            # Somebody may have started it again on the host since: then this is about another one.
            raise ChannelError(f"{error} {ended}") from None

    def connections_by_server(self) -> dict[tuple[str, int], int]:
        """(RIP, port) -> connections that the director has given to it."""
        rules = self.ask("list")["services"]
        return {
            (server["address"], server["port"]): server["connections"]
            for service in rules
            for server in service["servers"]
        }
