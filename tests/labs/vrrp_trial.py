"""The part of test_vrrp.py that runs in its own namespaces: lvs-vrrp and the real keepalived on one network.

    k 203.0.113.2 (keepalived) ─┐
    o 203.0.113.3 (lvs-vrrp)  ──┴ lan (bridge) ── w 203.0.113.9, who watches; VIP 203.0.113.1

Started as `python vrrp_trial.py VERSION FOLDER` inside `unshare`; writes FOLDER/results.json. VERSION is 2,
3, or 6 for version 3 over IPv6: then the hosts have fe80::2, fe80::3 and fe80::9, and the VIP is 2001:db8::1.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from availability.vrrp.advertisements import PROTOCOL
from labs.errors import LabError
from labs.network.namespaces import Namespaces, run
from labs.wait import patient, poll_until, wait_for
from tests.labs.director_net import SERVER

ROOT = Path(__file__).resolve().parents[2]
VIP, VIP6 = "203.0.113.1", "2001:db8::1"
HOSTS = {"k": "203.0.113.2", "o": "203.0.113.3", "w": "203.0.113.9"}
WAIT = 20  # seconds until something is considered not to happen
WATCHING = "watching"
FILE = """\
global_defs {
    enable_script_security
    script_user root
    SYNC
}
SCRIPTS
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
        VIPS
    }
    notify "/bin/sh -c 'echo $* >> /run/notified' HOST"
}
"""
FAILING, WORSE = "/run/failing", "/run/worse"  # as long as the file exists, a script fails
SCRIPT = 'vrrp_script no%s {\n    script "/usr/bin/test ! -e %s"\n    timeout 60\n    user root\n}\n'
SCRIPTS = "".join(SCRIPT % (name.rpartition("/")[2], name) for name in (FAILING, WORSE))
TRACKED = "track_script {\n        nofailing\n        noworse weight -100\n    }"
GET = "import sys, urllib.request as ask; print(len(ask.urlopen(sys.argv[1], timeout=50).read()), 'bytes')"
AUTHENTICATION = "authentication {\n        auth_type PASS\n        auth_pass secret99\n    }"


def advertised(frame: Ether, ttl: int, tos: int, ip: IP | IPv6) -> str:
    message = bytes(ip.payload).hex(" ").split()
    without = " ".join([*message[:2], *message[3:6], *message[8:]])  # priority, checksum
    return f"{ip.src} VRRP {frame.dst} {ip.dst} {ttl} {tos} {without}"


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
            elif ICMPv6ND_NA in frame:
                ip, advertisement = frame[IPv6], frame[ICMPv6ND_NA]
                own = advertisement[ICMPv6NDOptDstLLAddr].lladdr == frame.src
                flags = f"R {advertisement.R} S {advertisement.S} O {advertisement.O}"
                about = f"NA {frame.dst} {ip.src} {ip.dst} {ip.hlim} {advertisement.tgt} {flags}, own {own}"
            elif IPv6 in frame and frame[IPv6].nh == PROTOCOL:
                about = advertised(frame, frame[IPv6].hlim, frame[IPv6].tc, frame[IPv6])
            elif IP in frame and frame[IP].proto == PROTOCOL:
                about = advertised(frame, frame[IP].ttl, frame[IP].tos, frame[IP])
            else:
                continue
            print(frame.src, about, flush=True)


class Trial:
    """Each method tries one thing and returns what it observed."""

    def __init__(self, version: int, folder: Path) -> None:
        self._is_ipv6 = version == 6
        self._version, self._folder = 3 if self._is_ipv6 else version, folder
        self._net = Namespaces("", Path("/run/logs"))
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        self._net.bridge("lan")
        for host, address in HOSTS.items():
            self._net.add(host)
            self._net.plug(host, f"{host}-eth0", "lan", f"{address}/24", offload=False)
            if self._is_ipv6:
                self._add_ipv6(host, address.rpartition(".")[2])
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._capture = self._start("w", sys.executable, __file__, "watch")
        wait_for(self._captured, WAIT, "the capture", LabError)

    def _add_ipv6(self, host: str, number: str) -> None:
        """A link-local address that is known beforehand; directors forward."""
        settings = {"all.disable_ipv6": 0, f"{host}-eth0.disable_ipv6": 0, f"{host}-eth0.addr_gen_mode": 1}
        for name, value in {**settings, "all.forwarding": int(host != "w")}.items():
            self._net.run(host, "sysctl", "-qw", f"net.ipv6.conf.{name}={value}")
        self._net.run(host, "ip", "-6", "addr", "flush", "dev", f"{host}-eth0")
        self._net.run(host, "ip", "addr", "add", f"fe80::{number}/64", "dev", f"{host}-eth0", "nodad")

    def _start(self, host: str, *command: str) -> subprocess.Popen[bytes]:
        return self._net.start(host, *command, log=self._folder / f"{host}.log")

    def _run(self, host: str, priority: int, more: str = "") -> None:
        """Start keepalived on k, or lvs-vrrp on o."""
        interval = "1\n    down_timer_adverts 2" if self._version == 2 else "0.2"
        values = {"HOST": host, "PRIORITY": str(priority), "VERSION": str(self._version)}
        sync = "lvs_sync_daemon o-eth0 first" if host == "o" else ""
        vips = ("fe80::51/64", f"{VIP6}/128") if self._is_ipv6 else (f"{VIP}/32", "203.0.113.7/32")
        text = FILE.replace("VIPS", "\n        ".join(vips))
        text = text.replace("SCRIPTS", SCRIPTS if more == TRACKED else "")
        text = text.replace("INTERVAL", interval).replace("MORE", more).replace("SYNC", sync)
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
        process = self._processes.pop(host)
        process.send_signal(number)
        process.wait(patient(WAIT))

    def _owners(self) -> str:
        """The hosts that have the VIP. Raises LabError, at once, where a program has ended by itself."""
        for host, process in self._processes.items():
            if process.poll() is not None:
                raise LabError(f"The program on {host} has ended: see {host}.log.")
        shown = {host: self._net.attempt(host, "ip", "-o", "addr").stdout for host in "ko"}
        vip = f" {VIP6}/128 " if self._is_ipv6 else f" {VIP}/32 "
        return " ".join(host for host, text in shown.items() if vip in text)

    def _until(self, wanted: str) -> str:
        return poll_until(self._owners, lambda results: results == wanted, WAIT)

    def _last_event(self) -> str:
        return (self._folder / "events").read_text().splitlines()[-1]

    def _masters(self) -> int:
        """How often ours has become master."""
        return (self._folder / "o.log").read_text().count(" is MASTER")

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
        results = {}
        director = self._start("o", sys.executable, "-m", "director", "o-eth0")
        self._run("o", 100)
        results["alone"] = self._until("o")
        results["its daemon"] = self._daemon("master")
        self._run("k", 150)
        results["it comes"] = self._until("k")
        results["its daemon then"] = self._daemon("backup")
        self._end("k")
        results["it stops"] = self._until("o")
        self._run("k", 150)
        results["it comes again"] = self._until("k")
        self._end("o")
        results["ours stops"] = self._until("k")
        self._end("k")
        director.terminate()
        director.wait(patient(WAIT))
        return results

    def higher_ours(self) -> Any:
        results: dict[str, Any] = {}
        self._run("k", 100)
        results["alone"] = self._until("k")
        self._run("o", 150, TRACKED)
        results["ours comes"] = self._until("o")
        for name, file in (("a script", FAILING), ("a script with a weight", WORSE)):
            Path(file).touch()
            results[f"{name} fails"] = self._until("k")
            Path(file).unlink()
            results[f"{name} succeeds"] = self._until("o")
        self._net.attempt("o", "ip", "link", "set", "o-eth0", "down")
        results["its interface fails"] = self._until("k")
        self._net.attempt("o", "ip", "link", "set", "o-eth0", "up")
        results["its interface is back"] = self._until("o")
        logged = [json.loads(line) for line in (self._folder / "events").read_text().splitlines()]
        results["told"] = [
            (event["state"], event["priority"], event["why"]) for event in logged if event.get("why")
        ]
        self._end("o")
        results["ours stops"] = self._until("k")
        self._run("o", 150)
        self._until("o")
        self._end("o", signal.SIGKILL)
        self._net.attempt("o", "ip", "addr", "flush", "dev", "o-eth0", "to", VIP)
        results["ours is killed"] = self._until("k")
        self._run("o", 150, "nopreempt")
        wait_for(lambda: "BACKUP" in self._last_event(), WAIT, "ours to be a backup", LabError)
        results["ours may not preempt"] = self._owners()
        self._end("k")
        results["it stops"] = self._until("o")
        self._end("o")
        results["nobody"] = self._owners()
        return results

    def _in_turns(self, more: str, look: Callable[[], str] = str) -> dict[str, str]:
        """Each gives way to the other, so it has understood it; ours is left. `look` adds what is seen."""
        results = {}
        self._run("k", 100, more)
        results["alone"] = self._until("k") + look()
        self._run("o", 150, more)
        results["ours comes"] = self._until("o") + look()
        self._end("o")
        results["ours stops"] = self._until("k") + look()
        self._end("k")
        self._run("o", 100, more)
        results["ours alone"] = self._until("o") + look()
        self._run("k", 150, more)
        results["it comes"] = self._until("k") + look()
        self._end("k")
        results["it stops"] = self._until("o") + look()
        return results

    def virtual_mac(self) -> Any:
        """For its neighbour, the VIP has the same MAC address all the time, and answers."""
        announce = "net.ipv4.conf.all.arp_announce=2"  # keepalived's interface would ask in the VIP's name
        self._net.run("k", "sysctl", "-qw", announce)
        results = self._in_turns("use_vmac", self._answering)
        self._end("o", signal.SIGKILL)  # which leaves the address and its interface
        before = self._masters()
        self._run("o", 100, "use_vmac")
        wait_for(lambda: self._masters() > before, WAIT, "ours to be master again", LabError)
        results["killed, and again"] = self._owners() + self._answering()
        if not self._is_ipv6:
            results["served"] = self._served()
        self._end("o")
        return {**results, "nobody": self._owners(), "left": self._net.run("o", "ip", "-br", "link")}

    def _served(self) -> str:
        """A page through a director on o that listens on the new interface as well; k is its real server."""
        tool = str(ROOT / "director" / "bin" / "ipvsadm")
        director = self._start("o", sys.executable, "-m", "director", "o-eth0", "vrrp.51")
        poll_until(lambda: self._net.attempt("o", tool, "-Ln").returncode, lambda code: code == 0, WAIT)
        for rule in (("-A", "-t", f"{VIP}:80"), ("-a", "-t", f"{VIP}:80", "-r", HOSTS["k"], "-g")):
            self._net.run("o", tool, *rule)
        hidden = ("net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
        self._net.run("k", "sysctl", "-qw", *hidden)
        self._net.run("k", "ip", "addr", "add", f"{VIP}/32", "dev", "lo")
        server = self._start("k", sys.executable, str(SERVER), "k", f"{VIP}:80")
        self._net.wait_for_port("k", 80)
        page = self._net.run("w", sys.executable, "-c", GET, f"http://{VIP}/", seconds=patient(60)).strip()
        for process in (director, server):
            process.terminate()
            process.wait(patient(WAIT))
        self._net.run("k", "ip", "addr", "del", f"{VIP}/32", "dev", "lo")
        return page

    def _answering(self) -> str:
        """The MAC address with which the VIP answers."""
        vip = "fe80::51" if self._is_ipv6 else VIP
        ping = ("ping", "-c", "1", "-W", "1", "-I", "w-eth0", vip)
        poll_until(lambda: self._net.attempt("w", *ping).returncode, lambda code: code == 0, WAIT)
        shown = self._net.run("w", "ip", "neigh", "show", vip).split()
        return f" {shown[shown.index('lladdr') + 1]}" if "lladdr" in shown else " without an answer"

    def ipv6(self) -> Any:
        results = self._in_turns("native_ipv6")
        self._end("o")
        return {**results, "nobody": self._owners()}

    def password(self) -> Any:
        """With another password, nobody gives way."""
        results = self._in_turns(AUTHENTICATION)
        self._run("k", 150, AUTHENTICATION.replace("secret99", "other"))
        results["another password"] = self._until("k o")
        self._end("k")
        self._end("o")
        return results

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
    tried = {"2": ("password",), "6": ("ipv6", "virtual_mac")}
    names = (*tried.get(version, ("higher_keepalived", "higher_ours", "virtual_mac")), "captured")
    results = {name: getattr(trial, name)() for name in names}
    results["notified"] = Path("/run/notified").read_text().splitlines()
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        watch()
    else:
        main(sys.argv[1], Path(sys.argv[2]))
