"""One tcpdump per interface of the lab, from before the first packet of a client to the end.

Files are `INTERFACE.pcap` in the run's folder, for the checks and for Wireshark. Only the
first bytes of each packet are kept: headers and the first line of what it carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from labs.hosts.daemon import Daemon
from labs.hosts.host import Host
from labs.run.evidence import Evidence

_SNAPLEN = "192"  # bytes: Ethernet, IPIP, IP and TCP with options are 94


class Capture:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._running: list[Daemon] = []

    def start(self, host: Host, interfaces: Mapping[str, str]) -> None:
        """Start capturing {name of the file: interface}; `wait` tells when every capture runs."""
        for name, interface in interfaces.items():
            target = self._evidence.pcaps / f"{name}.pcap"
            command = ["tcpdump", "-i", interface, "-w", str(target), "-s", _SNAPLEN]
            # Written packet by packet, and by the user who started it: a check reads it while it grows.
            command += ["-U", "--immediate-mode", "-Z", "root", "-n", "-B", "1024"]
            log = self._evidence.log(f"tcpdump-{name}")
            self._running.append(Daemon(f"tcpdump of {name}", host.start(command, log), log))

    def wait(self) -> None:
        """Until every tcpdump says that it listens."""
        for daemon in self._running:
            daemon.wait(partial(_listens, daemon.log), daemon.name)


def _listens(log: Path) -> bool:
    return "listening on" in log.read_text(errors="replace")
