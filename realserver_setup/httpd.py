"""httpd: one nginx per real server, each in its own folder, and the requests in its log.

By hand, after `prepare`: nginx -p FOLDER -c FOLDER/nginx.conf
nginx.conf.orig beside it is an unchanged copy of the configuration.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from realserver_setup import validators
from realserver_setup.errors import InvalidValue
from realserver_setup.render import configuration

PROGRAM = "nginx"
CONFIGURATION, ORIGINAL = "nginx.conf", "nginx.conf.orig"
FAILING, SLOW = ".answers-500", ".too-slow"  # files in `root` that make it fail, to test checks


@dataclass(frozen=True, slots=True)
class Httpd:
    """An nginx that serves `root` on `ports` of all addresses of `versions`, and writes only to `folder`.

    With `can_fail`, a file FAILING in `root` makes it answer 500; a file SLOW limits it to a byte per second.
    """

    name: str
    folder: Path
    root: Path
    ports: tuple[int, ...] = (80,)
    can_fail: bool = False
    versions: tuple[int, ...] = (4,)

    def __post_init__(self) -> None:
        validators.host_name("name", self.name)
        for port in self.ports:
            validators.port("ports", port)
        if not self.ports or len(set(self.ports)) < len(self.ports):
            raise InvalidValue("ports", "at least one, each once", self.ports)
        validators.versions("versions", self.versions)

    def prepare(self) -> list[str]:
        """Write the configuration; return the command that runs nginx in the foreground."""
        for sub in ("logs", "tmp"):
            (self.folder / sub).mkdir(parents=True, exist_ok=True)
        self._pid.unlink(missing_ok=True)
        text = configuration(
            "nginx.conf.j2",
            name=self.name,
            endpoints=self._endpoints,
            root=self.root.resolve(),
            failing=FAILING if self.can_fail else "",
            slow=SLOW,
        )
        for name in (ORIGINAL, CONFIGURATION):
            (self.folder / name).write_text(text)
        return [PROGRAM, "-p", str(self.folder.resolve()), "-c", str(self._configuration.resolve())]

    @property
    def _endpoints(self) -> tuple[str, ...]:
        """The values of nginx's `listen`; `[::]` does not accept IPv4."""
        wildcards = {4: "", 6: "[::]:"}
        return tuple(f"{wildcards[version]}{port}" for version in self.versions for port in self.ports)

    def listens(self) -> bool:
        """Whether it listens: nginx writes its pid once its sockets are open."""
        return self._pid.exists()

    def requests(self) -> list[Request]:
        """The requests served so far, in order."""
        log = self.folder / "logs" / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [Request(**json.loads(line)) for line in lines]

    @property
    def _pid(self) -> Path:
        return self.folder / "nginx.pid"

    @property
    def _configuration(self) -> Path:
        return self.folder / CONFIGURATION


@dataclass(frozen=True, slots=True)
class Request:
    """A request in the log; `connection` is nginx's serial number of its connection."""

    client: str
    server: str
    port: int
    connection: int
    status: int
    request: str
