"""One tcpdump per interface of the lab, from before the first packet of a client to the end.

Files are `INTERFACE.pcap` in the run's folder, for the checks and for Wireshark. Only the
first bytes of each packet are kept: headers and the first line of what it carries.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import partial

from labs.errors import BuildFailed
from labs.evidence import Evidence
from labs.host import Host
from labs.wait import wait_for

_SNAPLEN = "192"  # bytes: Ethernet, IPIP, IP and TCP with options are 94


class Capture:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self, host: Host, interfaces: Mapping[str, str]) -> None:
        """Start capturing {name of the file: interface}; `wait` tells when every capture runs."""
        for name, interface in interfaces.items():
            target = self._evidence.pcaps / f"{name}.pcap"
            command = ["tcpdump", "-i", interface, "-w", str(target), "-s", _SNAPLEN]
            # Written packet by packet, and by the user who started it: a check reads it while it grows.
            command += ["-U", "--immediate-mode", "-Z", "root", "-n", "-B", "1024"]
            self._running[name] = host.start(command, self._evidence.log(f"tcpdump-{name}"))

    def wait(self) -> None:
        """Until every tcpdump says that it listens."""
        for name, process in self._running.items():
            wait_for(partial(self._listens, name, process), 60, f"tcpdump of {name}", BuildFailed)

    def _listens(self, name: str, process: subprocess.Popen[str]) -> bool:
        said = self._evidence.log(f"tcpdump-{name}").read_text()
        if process.poll() is not None:
            raise BuildFailed(f"tcpdump of {name} ended: {said.strip()}")
        return "listening on" in said
