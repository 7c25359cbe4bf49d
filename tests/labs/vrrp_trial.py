"""The part of test_vrrp.py that runs in its own namespaces: lvs-vrrp and the real keepalived on one network.

    k 203.0.113.2 (keepalived) ─┐
    o 203.0.113.3 (lvs-vrrp)  ──┴ lan (bridge) ── w 203.0.113.9, who watches; VIP 203.0.113.1

Started as `python vrrp_trial.py VERSION FOLDER` inside `unshare`; writes FOLDER/seen.json.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from scapy.layers.inet import IP
from scapy.layers.l2 import ARP, Ether

from availability.vrrp.advertisements import PROTOCOL
from labs.errors import LabError
from labs.network.namespaces import Namespaces, run
from labs.wait import patient, poll_until, wait_for

ROOT = Path(__file__).resolve().parents[2]
VIP = "203.0.113.1"
HOSTS = {"k": "203.0.113.2", "o": "203.0.113.3", "w": "203.0.113.9"}
WAIT = 20  # seconds until something is considered not to happen
WATCHING = "watching"
FILE = """\
global_defs {
    enable_script_security
    script_user root
    SYNC
}
vrrp_instance first {
    state BACKUP
    interface HOST-eth0
    virtual_router_id 51
    priority PRIORITY
    version VERSION
    advert_int INTERVAL
    garp_master_delay 1
    MORE
    virtual_ipaddress {
        203.0.113.1/32
        203.0.113.7/32
    }
    notify "/bin/sh -c 'echo $* >> /run/notified' HOST"
}
"""
AUTHENTICATION = "authentication {\n        auth_type PASS\n        auth_pass secret99\n    }"


def watch() -> None:
    """Print each ARP and VRRP frame: the sender's MAC address, then what does not depend on the sender."""
    everything = 3  # ETH_P_ALL
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(everything)) as made:
        made.bind(("w-eth0", everything))
        print(WATCHING, flush=True)
        while True:
            frame = Ether(made.recv(2048))
            if ARP in frame:
                arp = frame[ARP]
                who = f"{arp.pdst} at {arp.hwdst}, tell {arp.psrc}"
                about = f"ARP {arp.op} {frame.dst} {who}, own {arp.hwsrc == frame.src}"
            elif IP in frame and frame[IP].proto == PROTOCOL:
                ip, message = frame[IP], bytes(frame[IP].payload).hex(" ").split()
                without = " ".join([*message[:2], *message[3:6], *message[8:]])  # priority, checksum
                about = f"{ip.src} VRRP {frame.dst} {ip.dst} {ip.ttl} {ip.tos} {without}"
            else:
                continue
            print(frame.src, about, flush=True)


class Trial:
    """Each method tries one thing and returns what it observed."""

    def __init__(self, version: int, folder: Path) -> None:
        self._version, self._folder = version, folder
        self._net = Namespaces("", Path("/run/logs"))
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        self._net.bridge("lan")
        for host, address in HOSTS.items():
            self._net.add(host)
            self._net.plug(host, f"{host}-eth0", "lan", f"{address}/24", offload=False)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._capture = self._start("w", sys.executable, __file__, "watch")
        wait_for(self._captured, WAIT, "the capture", LabError)

    def _start(self, host: str, *command: str) -> subprocess.Popen[bytes]:
        return self._net.start(host, *command, log=self._folder / f"{host}.log")

    def _run(self, host: str, priority: int, more: str = "") -> None:
        """Start keepalived on k, or lvs-vrrp on o."""
        interval = "1\n    down_timer_adverts 2" if self._version == 2 else "0.2"
        values = {"HOST": host, "PRIORITY": str(priority), "VERSION": str(self._version)}
        sync = "lvs_sync_daemon o-eth0 first" if host == "o" else ""
        text = FILE.replace("INTERVAL", interval).replace("MORE", more).replace("SYNC", sync)
        for name, value in values.items():
            text = text.replace(name, value)
        file = self._folder / f"{host}.conf"
        file.write_text(text)
        if host == "o":
            events = str(self._folder / "events")
            command = [str(ROOT / "availability" / "bin" / "lvs-vrrp"), str(file), "--events", events]
        else:
            pids = [word for letter in "prc" for word in (f"-{letter}", f"/run/keepalived-{letter}.pid")]
            command = ["keepalived", "-n", "-l", "-P", "-f", str(file), *pids]
        self._processes[host] = self._start(host, *command)

    def _end(self, host: str, number: int = signal.SIGTERM) -> None:
        self._processes[host].send_signal(number)
        self._processes[host].wait(patient(WAIT))

    def _owners(self) -> str:
        """The hosts that have the VIP."""
        shown = {host: self._net.attempt(host, "ip", "-o", "addr").stdout for host in "ko"}
        return " ".join(host for host, text in shown.items() if f" {VIP}/32 " in text)

    def _until(self, wanted: str) -> str:
        return poll_until(self._owners, lambda seen: seen == wanted, WAIT)

    def _last_event(self) -> str:
        return (self._folder / "events").read_text().splitlines()[-1]

    def _daemon(self, role: str) -> str:
        """The synchronisation daemon of the director on o, once it has this role."""
        tool = str(ROOT / "director" / "bin" / "ipvsadm")
        return poll_until(
            lambda: self._net.attempt("o", tool, "-L", "--daemon").stdout,
            lambda shown: shown.startswith(role) and shown.count("daemon") == 1,
            WAIT,
        )

    def higher_keepalived(self) -> Any:
        """Ours is first, keepalived takes over and stops in order, and comes back."""
        seen = {}
        self._start("o", sys.executable, "-m", "director", "o-eth0")
        self._run("o", 100)
        seen["alone"] = self._until("o")
        seen["its daemon"] = self._daemon("master")
        self._run("k", 150)
        seen["it comes"] = self._until("k")
        seen["its daemon then"] = self._daemon("backup")
        self._end("k")
        seen["it stops"] = self._until("o")
        self._run("k", 150)
        seen["it comes again"] = self._until("k")
        self._end("o")
        seen["ours stops"] = self._until("k")
        self._end("k")
        return seen

    def higher_ours(self) -> Any:
        seen = {}
        self._run("k", 100)
        seen["alone"] = self._until("k")
        self._run("o", 150)
        seen["ours comes"] = self._until("o")
        self._net.attempt("o", "ip", "link", "set", "o-eth0", "down")
        seen["its interface fails"] = self._until("k")
        self._net.attempt("o", "ip", "link", "set", "o-eth0", "up")
        seen["its interface is back"] = self._until("o")
        self._end("o")
        seen["ours stops"] = self._until("k")
        self._run("o", 150)
        self._until("o")
        self._end("o", signal.SIGKILL)
        self._net.attempt("o", "ip", "addr", "flush", "dev", "o-eth0", "to", VIP)
        seen["ours is killed"] = self._until("k")
        self._run("o", 150, "nopreempt")
        wait_for(lambda: "BACKUP" in self._last_event(), WAIT, "ours to be a backup", LabError)
        seen["ours may not preempt"] = self._owners()
        self._end("k")
        seen["it stops"] = self._until("o")
        self._end("o")
        seen["nobody"] = self._owners()
        return seen

    def password(self) -> Any:
        """Each gives way to the other: so it has understood it. With another password nobody does."""
        seen = {}
        self._run("k", 100, AUTHENTICATION)
        seen["alone"] = self._until("k")
        self._run("o", 150, AUTHENTICATION)
        seen["ours comes"] = self._until("o")
        self._end("o")
        seen["ours stops"] = self._until("k")
        self._end("k")
        self._run("o", 100, AUTHENTICATION)
        seen["ours alone"] = self._until("o")
        self._run("k", 150, AUTHENTICATION)
        seen["it comes"] = self._until("k")
        self._end("k")
        seen["it stops"] = self._until("o")
        self._run("k", 150, AUTHENTICATION.replace("secret99", "other"))
        seen["another password"] = self._until("k o")
        self._end("k")
        self._end("o")
        return seen

    def captured(self) -> Any:
        """The frames of all hosts, a line each."""
        self._capture.terminate()
        self._capture.wait(patient(WAIT))
        return [line for line in self._captured() if line != WATCHING]

    def _captured(self) -> list[str]:
        return (self._folder / "w.log").read_text().splitlines()


def main(version: str, folder: Path) -> None:
    trial = Trial(int(version), folder)
    # At version 2's interval of a second everything takes long; what is the same in both is tried in 3.
    names = (*(("password",) if version == "2" else ("higher_keepalived", "higher_ours")), "captured")
    seen = {name: getattr(trial, name)() for name in names}
    seen["notified"] = Path("/run/notified").read_text().splitlines()
    (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        watch()
    else:
        main(sys.argv[1], Path(sys.argv[2]))
