"""The part of test_operating.py that runs in namespaces of its own (director_net.py).

Started as `python operating_trial.py FOLDER` inside `unshare`; writes FOLDER/results.json. Every director has
two capabilities of root's at most: as user 0, but with SECBIT_NOROOT, by which that is a user like others.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labs.wait import patient, poll_until
from tests.labs.director_net import BIN, VIP, build, curl, serve, sh, start, tool
from tests.labs.held import held

NEEDED = "-all,+net_admin,+net_raw"
RULES = f"-A -t {VIP}:80 -s wrr\n-a -t {VIP}:80 -r 192.0.2.2:8000 -m -w 1\n"


def director(*words: str, log: Path, capabilities: str = NEEDED, host: str = "d") -> subprocess.Popen[bytes]:
    kinds = [f"--{kind}={capabilities}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    command = ("setpriv", "--securebits=+noroot", *kinds, str(BIN / "lvs-director"), *words)
    return start(host, *command, log=log)


def saved() -> str:
    return tool("ipvsadm", "-Sn")


def left() -> list[str]:
    """What is left of a director: its nftables table, its device, its socket."""
    device = sh("ip", "-br", "link", "show", "type", "tun", host="d").stdout
    return [*sh("nft", "list", "tables", host="d").stdout.split(), *device.split(), *map(str, _sockets())]


def _sockets() -> list[Path]:
    return sorted(Path("/run").glob("lvs-*"))


def started(folder: Path, rules: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A director that forwards, and its message to systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        Path("/run/notify").unlink(missing_ok=True)
        systemd.bind("/run/notify")
        systemd.settimeout(patient(30))
        os.environ["NOTIFY_SOCKET"] = "/run/notify"
        process = director("--rules", str(rules), "d-eth0", "d-eth1", log=folder / "director.log")
        return process, systemd.recv(100).decode()


def run(folder: Path) -> dict[str, Any]:
    """Start, reload by command and by signal, refuse a wrong file and a second director, stop."""
    rules = folder / "rules"
    rules.write_text(RULES)
    process, message = started(folder, rules)
    results: dict[str, Any] = {"told": message, "started": saved()}
    reload = (str(BIN / "lvs-director"), "--reload", "--rules", str(rules))
    with held() as client:
        results["served"] = [client.ask()]
        rules.write_text(RULES.replace("-w 1", "-w 3"))
        done = sh(*reload, host="c", check=False)
        results["reload"] = [done.returncode, done.stderr, saved()]
        results["served"].append(client.ask())
        rules.write_text(RULES.replace("-s wrr", "-s lc"))
        process.send_signal(signal.SIGHUP)
        results["hangup"] = poll_until(saved, lambda text: "-s lc" in text, 10)
        rules.write_text("-A -t nonsense\n")
        done = sh(*reload, check=False)
        results["wrong"] = [done.returncode, done.stderr, saved()]
        results["second"] = refused(folder, "c-eth0", host="c")
        results["served"].append(client.ask())
    own = sh("curl", "-s", "-m", "10", f"http://{VIP}/", host="d", check=False)
    results["own client"] = own.returncode
    results["connections"] = tool("ipvsadm", "-Ln", "--stats").splitlines()[-1].split()[2]
    process.send_signal(signal.SIGTERM)
    results["exit"] = process.wait(patient(10))
    results["left"] = left()
    results["log"] = (folder / "director.log").read_text()
    return results


def refused(folder: Path, *words: str, **more: str) -> list[Any]:
    """Its exit code and what it says."""
    log = folder / "refused.log"
    log.unlink(missing_ok=True)
    return [director(*words, log=log, **more).wait(patient(20)), log.read_text()]


def refusals(folder: Path) -> dict[str, Any]:
    """Something is missing, one thing after the other."""
    wires = ("d-eth0", "d-eth1")
    results = {
        "no CAP_NET_RAW": refused(folder, *wires, capabilities="-all,+net_admin"),
        "no CAP_NET_ADMIN": refused(folder, *wires, capabilities="-all,+net_raw"),
        "no interface": refused(folder, "d-eth0", "d-eth9"),
        "no folder for the socket": refused(folder, "--socket", "/proc/control", *wires),
        "rules that are refused": refused(folder, "--rules", str(folder / "rules"), *wires),
    }
    sh("mount", "-t", "tmpfs", "tmpfs", "/dev/net")  # as with a kernel without TUN devices
    results["no TUN device"] = refused(folder, *wires)
    return results


SETTINGS = ("all.rp_filter", "all.send_redirects", "d-eth0.send_redirects", "d-eth1.send_redirects")


def settings() -> list[str]:
    """Those that a director changes."""
    return sh("sysctl", "-n", *(f"net.ipv4.conf.{name}" for name in SETTINGS), host="d").stdout.split()


def killed(folder: Path) -> dict[str, Any]:
    """The settings before a director, after it was killed, and after the next one was stopped."""
    sh("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=2", "net.ipv4.ip_forward=1", host="d")
    results = {"before": settings()}
    process, _ = started(folder, folder / "rules")
    process.kill()
    process.wait(patient(10))
    results["killed"] = settings()
    process, _ = started(folder, folder / "rules")
    process.send_signal(signal.SIGTERM)
    process.wait(patient(10))
    results["after"] = settings()
    return {**results, "left": left(), "log": (folder / "director.log").read_text()}


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0])
    build("nat")
    serve("s", "192.0.2.2:8000", log=folder / "server.log")
    results = run(folder)
    (folder / "director.log").unlink()
    (folder / "rules").write_text(RULES)
    results["killed"] = killed(folder)
    (folder / "rules").write_text("-A -t nonsense\n")
    results["refusals"] = refusals(folder)
    results["after"] = [curl(f"http://{VIP}/")[0], *left()]
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
