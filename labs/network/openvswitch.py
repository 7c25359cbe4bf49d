"""The lab's own Open vSwitch: database and switch daemon inside the sandbox.

Its files are in the sandbox's private /run, its logs in the run's folder. The machine's own Open vSwitch
is not used.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from labs.errors import BuildFailed
from labs.wait import patient, wait_for

_RUN = "/run/openvswitch"
_DATABASE = f"{_RUN}/conf.db"
_SOCKET = f"{_RUN}/db.sock"
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class OpenVSwitch:
    """The two daemons, children of the caller; they end with the sandbox."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start_database(self) -> None:
        """Create an empty database and start its server, without waiting for it."""
        os.makedirs(_RUN, exist_ok=True)
        os.environ.update({f"OVS_{name}DIR": _RUN for name in ("RUN", "DB", "LOG", "SYSCONF")})
        _command("ovsdb-tool", "create", _DATABASE, _SCHEMA)
        self._daemon("ovsdb-server", _DATABASE, f"--remote=punix:{_SOCKET}")

    def start_switch(self) -> None:
        """Start the switch daemon once the database has its socket."""
        wait_for(lambda: Path(_SOCKET).exists(), 60, "ovsdb-server's socket", BuildFailed)
        _command("ovs-vsctl", "--no-wait", "init")
        self._daemon("ovs-vswitchd", f"unix:{_SOCKET}")

    def wait(self) -> None:
        wait_for(
            lambda: any(Path(_RUN).glob("ovs-vswitchd.*.ctl")),
            60,
            "ovs-vswitchd's control socket",
            BuildFailed,
        )

    def _daemon(self, program: str, *arguments: str) -> None:
        log = (self._logs / f"{program}.log").open("wb")
        command = [program, *arguments, "--no-chdir", f"--unixctl={_RUN}/{program}.{os.getpid()}.ctl"]
        self._daemons.append(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the lab's prompt must not reach it
            )
        )


def _command(*arguments: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=patient(10))
    if done.returncode != 0:
        raise BuildFailed(f"`{' '.join(arguments)}` failed with {done.returncode}: {done.stderr.strip()}")
