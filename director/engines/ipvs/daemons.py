"""The kernel's own synchronisation daemons, started and listed with ipvsadm."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from director.core.sync_protocol import DaemonConfig
from director.engines.engine import EngineError
from director.engines.ipvs.kernel import KernelIpvs

_LINE = re.compile(r"(?P<role>master|backup) sync daemon \((?P<fields>.*)\)")
_NAMES = {"mcast": "interface"}
_WORDS = ("interface", "group")


class KernelDaemons:
    def __init__(self, kernel: KernelIpvs) -> None:
        self._kernel = kernel
        self._started: set[str] = set()

    def start(self, config: DaemonConfig) -> None:
        """Raises EngineError."""
        if config.resync:
            raise EngineError("The kernel's daemons have no --resync: leave it out, or use another engine.")
        options = {
            "--mcast-interface": config.interface,
            "--syncid": config.syncid,
            "--mcast-group": config.group,
            "--mcast-port": config.port,
            "--mcast-ttl": config.ttl,
            **({"--sync-maxlen": config.maxlen} if config.maxlen else {}),
        }
        words = [word for option, value in options.items() for word in (option, str(value))]
        self._kernel.ipvsadm("--start-daemon", config.role, *words)
        self._started.add(config.role)

    def stop(self, role: str) -> None:
        """Raises EngineError."""
        self._kernel.ipvsadm("--stop-daemon", role)
        self._started.discard(role)

    def running(self) -> list[dict[str, Any]]:
        return parse(self._kernel.ipvsadm("-L", "--daemon"))

    def tick(self, now: float) -> None:
        """Nothing to do: the kernel's daemons are threads of their own."""

    def close(self) -> None:
        for role in tuple(self._started):
            with suppress(EngineError):
                self.stop(role)


def parse(listing: str) -> list[dict[str, Any]]:
    """The daemons in the words of DaemonConfig."""
    daemons = []
    for line in _LINE.finditer(listing):
        pairs = (field.partition("=") for field in line["fields"].split(", "))
        fields = {_NAMES.get(name, name): value for name, _, value in pairs}
        values = {name: value if name in _WORDS else int(value) for name, value in fields.items()}
        daemons.append({"role": line["role"], **values})
    return daemons
