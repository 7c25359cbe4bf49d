"""The daemons of the real servers, nginx and ftpd on each, and the requests that they have served.

The files they serve are in the sandbox's own /run and disappear with it; their configuration and logs are in
the run's folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from labs.checks.result import Check
from labs.errors import BuildFailed
from labs.hosts.client import Fetched, digest_of
from labs.hosts.host import PROGRAMS, Host
from labs.plan import RealServer
from labs.run.evidence import Evidence
from labs.wait import patient, wait_for
from realserver_setup import files
from realserver_setup.apply import Result
from realserver_setup.forkserver_client import Daemon, Kind, Launcher, ftp_commands
from realserver_setup.httpd import FAILING, SLOW, Httpd, Request

_HOME = Path("/run/lvs")


class ServerFarm:
    """Call `prepare`, then in VS-TUN `start_tunnels`, then `start`. All servers serve `files`."""

    listing = files.LISTING
    failing, slow = FAILING, SLOW

    def __init__(
        self,
        servers: Sequence[RealServer],
        evidence: Evidence,
        *,
        can_fail: bool = False,
        versions: tuple[int, ...] = (4,),
    ) -> None:
        """With `can_fail`, an httpd misbehaves as long as its folder contains a file named FAILING or SLOW.

        `versions` are the IP versions of the servers' addresses.
        """
        self._can_fail = can_fail
        self.versions = versions
        self._servers = servers
        self._evidence = evidence
        self.scratch = _HOME / "clients"
        self.files: dict[str, Fetched] = {}
        self._httpds: dict[str, Httpd] = {}
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._forked: dict[tuple[str, str], int] = {}  # the pid of each further daemon, by host and kind
        self._launcher: Launcher | None = None

    def prepare(self) -> None:
        """Create the files, and start the process that will fork the daemons."""
        self._launcher = Launcher(self._evidence.log("forkserver"), PROGRAMS)
        shared = files.make_shared(_HOME / "shared")
        self.files = {name: Fetched(file.sha256, file.size) for name, file in shared.items()}
        for server in self._servers:
            root = files.make_root(self.root(server.name), server.name, shared.values())
            folder = self._evidence.folder / "servers" / server.name
            ports = (server.http_port, *server.more_ports)
            self._httpds[server.name] = Httpd(server.name, folder, root, ports, self._can_fail, self.versions)

    def start_tunnels(self, hosts: Mapping[str, Host], device: str) -> None:
        """Start the user-space tunnel `device` on every real server, and wait until the devices exist."""
        self._start_daemons(hosts, "tunl0", {server.name: {"device": device} for server in self._servers})

    def start(self, hosts: Mapping[str, Host]) -> None:
        """Start httpd and ftpd on every real server, and wait until all of them listen."""
        for name, httpd in self._httpds.items():
            log = self._evidence.log(f"httpd-{name}")
            self._processes[name] = hosts[name].start(httpd.prepare(), log)
        shared = {"versions": self.versions}
        roots = {server.name: {**shared, "root": str(self.root(server.name))} for server in self._servers}
        self._start_daemons(hosts, "ftpd", roots)
        for name, httpd in self._httpds.items():
            wait_for(httpd.listens, 60, f"nginx of {name}", BuildFailed)

    def ended(self) -> list[str]:
        """The real servers whose httpd has ended."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def kill(self, server: str) -> None:
        """Kill a real server's httpd, as a crash would."""
        self._processes[server].kill()
        self._processes[server].wait()

    def restart(self, server: str, host: Host) -> None:
        """Start its httpd again after `kill`, and wait until it listens."""
        httpd = self._httpds[server]
        self._processes[server] = host.start(httpd.prepare(), self._evidence.log(f"httpd-{server}"))
        wait_for(httpd.listens, 60, f"nginx of {server}", BuildFailed)

    def freeze(self, server: str) -> None:
        """Stop all daemons of a real server, as on a host that hangs."""
        self._signal(server, signal.SIGSTOP)

    def thaw(self, server: str) -> None:
        self._signal(server, signal.SIGCONT)

    def _signal(self, server: str, number: signal.Signals) -> None:
        for pid in (
            self._processes[server].pid,
            *(pid for key, pid in self._forked.items() if key[0] == server),
        ):
            with suppress(ProcessLookupError):  # it has ended
                os.kill(pid, number)

    def root(self, server: str) -> Path:
        """The folder that a real server serves."""
        return _HOME / server

    def path(self, name: str) -> Path:
        """One of the shared files, for a client to upload."""
        return _HOME / "shared" / name

    def client_addresses(self, server: str) -> set[str]:
        """The client addresses in the access logs of a real server."""
        http = {request.client for request in self._httpds[server].requests()}
        return http | {command.client for command in ftp_commands(self._evidence.log(f"ftpd-{server}"))}

    def requests(self, server: str) -> list[Request]:
        """The requests that a real server's httpd has served so far."""
        return self._httpds[server].requests()

    def uploaded(self, name: str) -> list[Fetched]:
        """The copies of `name` in the upload folders of all real servers."""
        found = (self.root(server.name) / files.UPLOAD / name for server in self._servers)
        return [digest_of(path) for path in found if path.exists()]

    def check_upload(self, title: str, target: str, source: str, done: Result) -> Check:
        """The check that `source` has arrived as `target` on exactly one real server."""
        copies = self.uploaded(target)
        expected = self.files[source]
        observed = " and ".join(map(str, copies)) or done.stderr.strip() or "nowhere"
        return Check(title, copies == [expected] and done.exit_code == 0, str(expected), observed)

    def _start_daemons(
        self, hosts: Mapping[str, Host], kind: Kind, options: Mapping[str, Mapping[str, object]]
    ) -> None:
        assert self._launcher is not None
        for server in self._servers:
            log = self._evidence.log(f"{kind}-{server.name}")
            pid = hosts[server.name].pid
            self._launcher.ask(Daemon(server.name, pid, kind, log, options[server.name]))
        self._forked |= self._launcher.wait(patient(30))
