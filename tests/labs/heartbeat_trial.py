"""The part of test_heartbeat.py that runs in its own namespaces: two nodes, and a host that watches.

    d1 203.0.113.2, preferred ─┐ lan (bridge) ── w 203.0.113.9; VIP 203.0.113.1
    d2 203.0.113.3 ────────────┘

Started as `python heartbeat_trial.py FOLDER` inside `unshare`; writes FOLDER/results.json.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from labs.network.namespaces import Namespaces, run
from labs.wait import poll_until

LVS_HEARTBEAT = Path(__file__).resolve().parents[2] / "availability" / "bin" / "lvs-heartbeat"
VIP = "203.0.113.1"
HOSTS = {"d1": "203.0.113.2", "d2": "203.0.113.3", "w": "203.0.113.9"}
WAIT = 20  # seconds until something is considered not to happen
HA_CF = "keepalive 100ms\ndeadtime 1500ms\ninitdead 30\nbcast HOST-eth0\nnode d1 d2\n"
SCRIPT = f"#!/bin/sh\nip -o address show to {VIP} | grep -q . && there=yes\necho $* ${{there:-no}} >> NOTES\n"


class Trial:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._net = Namespaces("", Path("/run/logs"))
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        self._net.bridge("lan")
        for host, address in HOSTS.items():
            self._net.add(host)
            self._net.plug(host, f"{host}-eth0", "lan", f"{address}/24", offload=False)
        self._macs = {self._net.mac(host, f"{host}-eth0"): host for host in ("d1", "d2")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, host: str) -> None:
        ha_d = self._folder / host
        (ha_d / "resource.d").mkdir(parents=True, exist_ok=True)
        texts = {
            "ha.cf": HA_CF.replace("HOST", host),
            "haresources": f"d1 {VIP}/32/{host}-eth0 note::first::second\n",
            "authkeys": "auth 1\n1 sha1 secret\n",
            "resource.d/note": SCRIPT.replace("NOTES", str(self._folder / f"{host}.notes")),
        }
        for name, text in texts.items():
            (ha_d / name).write_text(text)
            (ha_d / name).chmod(0o700)
        events = ("--events", str(self._folder / "events"))
        command = (str(LVS_HEARTBEAT), str(ha_d), "--node", host, *events)
        self._running[host] = self._net.start(host, *command, log=self._folder / f"{host}.log")

    def end(self, host: str, number: int) -> None:
        self._running[host].send_signal(number)
        self._running[host].wait(WAIT)

    def owners(self) -> str:
        """The hosts that have the VIP, and the one to which the watching host would send."""
        listing = {host: self._net.attempt(host, "ip", "-o", "address").stdout for host in ("d1", "d2")}
        have = " ".join(host for host, text in listing.items() if f" {VIP}/32 " in text)
        words = self._net.attempt("w", "ip", "neigh", "show", VIP).stdout.split()
        learnt = next((host for mac, host in self._macs.items() if mac in words), "nobody")
        return f"{have or 'nobody'}, {learnt}"

    def until(self, wanted: str) -> str:
        observed = poll_until(self.owners, lambda observed: observed == wanted, WAIT)
        if observed != wanted:
            neighbours = self._net.attempt("w", "ip", "-s", "neigh").stdout
            sys.exit(f"Owners and whom w has learnt: expected {wanted}, got {observed}.\n{neighbours}")
        return observed

    def meet(self) -> str:
        """The watching host learns who has the VIP, by asking."""
        poll_until(
            lambda: self._net.attempt("w", "ping", "-c1", "-W1", VIP).returncode, lambda code: not code, WAIT
        )
        self.until_noted("d1", 2)
        return self.until("d1, d1")

    def notes(self, host: str) -> list[str]:
        file = self._folder / f"{host}.notes"
        return file.read_text().splitlines() if file.exists() else []

    def until_noted(self, host: str, lines: int) -> None:
        """Scripts run after the address is up."""
        poll_until(lambda: self.notes(host), lambda observed: len(observed) >= lines, WAIT)

    def all(self) -> dict[str, Any]:
        observed: dict[str, Any] = {}
        for host in ("d1", "d2"):
            self.start(host)
        observed["both"] = self.meet()
        self.end("d1", signal.SIGKILL)
        observed["d1 is killed"] = self.until("d1 d2, d2")  # its kernel still has the VIP
        self.until_noted("d2", 2)
        self.start("d1")
        observed["d1 comes back"] = self.until("d1, d1")
        self.end("d1", signal.SIGTERM)
        observed["d1 stops"] = self.until("d2, d2")
        self.end("d2", signal.SIGTERM)
        observed["d2 stops"] = self.until("nobody, d2")
        for host in ("d1", "d2"):
            observed[f"notes of {host}"] = self.notes(host)
        return observed


def main(folder: Path) -> None:
    (folder / "results.json").write_text(json.dumps(Trial(folder).all()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
