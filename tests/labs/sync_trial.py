"""The part of test_sync.py that runs in its own namespaces: a master, its backup, and the master's death.

    c 203.0.113.101 ─┐ lan (bridge) ┌─ d1 203.0.113.2, VIP 203.0.113.1 ─┐ far (bridge) ┌─ s 192.0.2.2
                     │              └─ d2 203.0.113.3 ──────────────────┘              │ VS-NAT
                     └─ s 203.0.113.11, VS-DR                                   d1, d2 192.0.2.3, .4

The real server's gateway, 192.0.2.1, is an address of the active director as the VIP is, and moves with it.
Started as `python sync_trial.py ENGINE FOLDER` inside `unshare`; writes FOLDER/results.json.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from director.control.channel import call
from labs.network.namespaces import Namespaces, run
from labs.wait import patient, poll_until
from tests.labs.director_net import BIN, ROOT, SERVER
from tests.labs.trial_server import CONTENT, RELEASE, is_whole

VIP, GATEWAY, RIP, DR_RIP = "203.0.113.1", "192.0.2.1", "192.0.2.2", "203.0.113.11"
RULES = f"""\
-A -t {VIP}:80 -s rr
-a -t {VIP}:80 -r {RIP}:8000 -m
-A -t {VIP}:81 -s rr -p 100
-a -t {VIP}:81 -r {RIP}:8001 -m
-A -t {VIP}:8080 -s rr
-a -t {VIP}:8080 -r {DR_RIP}:8080 -g
-A -t {VIP}:21 -s rr
-a -t {VIP}:21 -r {RIP}:21 -m
"""
HIDDEN = {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2}
FTP_CLIENT = """
import ftplib, sys
ftp = ftplib.FTP(sys.argv[1], timeout=float(sys.argv[2]))
ftp.login()
for line in sys.stdin:
    data = bytearray()
    ftp.retrbinary("RETR page.bin", data.extend)
    print(len(data), ftp.voidcmd("NOOP")[:3], flush=True)
"""
GRATUITOUS_ARP = """
import sys
from scapy.layers.l2 import ARP, Ether
from scapy.sendrecv import sendp
interface, mac, address = sys.argv[1:]
broadcast = "ff:ff:ff:ff:ff:ff"
sendp(Ether(src=mac, dst=broadcast) / ARP(op=1, hwsrc=mac, psrc=address, hwdst=broadcast, pdst=address),
      iface=interface, count=2, verbose=False)
"""
_net = Namespaces("", Path("/run/logs"))


def build() -> None:
    os.chdir(ROOT)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for bridge in ("lan", "far"):
        _net.bridge(bridge)
    for host in ("d1", "d2"):
        _net.add(host)
    _net.add("c")
    _net.add("s", HIDDEN)
    for link in (
        ("c", "c-eth0", "lan", "203.0.113.101/24"),
        ("d1", "d1-eth0", "lan", "203.0.113.2/24"),
        ("d2", "d2-eth0", "lan", "203.0.113.3/24"),
        ("d1", "d1-eth1", "far", "192.0.2.3/24"),
        ("d2", "d2-eth1", "far", "192.0.2.4/24"),
        ("s", "s-eth0", "far", f"{RIP}/24"),
        ("s", "s-eth1", "lan", f"{DR_RIP}/24"),
    ):
        _net.plug(*link, offload=False)
    _net.run("s", "ip", "route", "add", "default", "via", GATEWAY, "table", "7")
    _net.run("s", "ip", "rule", "add", "from", RIP, "table", "7")
    _net.run("s", "ip", "addr", "add", f"{VIP}/32", "dev", "lo")
    take_over("d1")


def take_over(host: str) -> None:
    """The active director's addresses, and gratuitous ARP, by hand."""
    for interface, address in ((f"{host}-eth0", VIP), (f"{host}-eth1", GATEWAY)):
        _net.run(host, "ip", "addr", "add", f"{address}/32", "dev", interface)
        mac = _net.mac(host, interface)
        _net.run(host, sys.executable, "-c", GRATUITOUS_ARP, interface, mac, address, seconds=60)


def serve() -> None:
    root = Path("/run/ftp")
    root.mkdir()
    (root / "page.bin").write_bytes(CONTENT[:10_000])
    endpoints = (f"{RIP}:8000", f"{RIP}:8001", f"{DR_RIP}:8080", f"{VIP}:8080")
    _net.start("s", sys.executable, "-S", str(SERVER), "s", *endpoints)
    _net.start("s", sys.executable, "-m", "realserver_setup.ftpd", "--root", str(root), "--port", "21")
    for port in (8000, 8001, 8080, 21):
        _net.wait_for_port("s", port)


def socket_of(host: str) -> str:
    return f"/run/{host}.sock"


def start_director(host: str, engine: str, folder: Path) -> subprocess.Popen[bytes]:
    command = (sys.executable, "-m", "director", "--engine", engine, "--socket", socket_of(host))
    interfaces = (f"{host}-eth0", f"{host}-eth1")
    Path(socket_of(host)).unlink(missing_ok=True)
    process = _net.start(host, *command, *interfaces, log=folder / f"{host}.log")
    poll_until(lambda: Path(socket_of(host)).exists() or process.poll() is not None, bool, 30)
    tool(host, "ipvsadm", "-R", text=RULES)
    return process


def tool(host: str, *words: str, text: str | None = None) -> str:
    command = ("env", f"LVS_SOCKET={socket_of(host)}", str(BIN / words[0]), *words[1:])
    done = _net.attempt(host, *command, text=text)
    return done.stdout + done.stderr


def rows(host: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(socket_of(host), {"do": "connections"})["connections"]
    return found


def ends(host: str) -> set[tuple[str, ...]]:
    """Endpoints, protocol and state of what is to outlive the master, and of the template."""
    names = ("protocol", "client", "vip", "server", "state")
    return {
        tuple(row[name] for name in names) for row in rows(host) if row["state"] in ("ESTABLISHED", "ASSURED")
    }


def download(port: int) -> subprocess.Popen[bytes]:
    """Goes on until RELEASE exists."""
    return _net.start("c", "curl", "-sN", "-o", f"/run/got-{port}", f"http://{VIP}:{port}/held")


def got(port: int) -> int:
    """Bytes so far."""
    file = Path(f"/run/got-{port}")
    return file.stat().st_size if file.exists() else 0


def counters(host: str) -> Any:
    return call(socket_of(host), {"do": "counters"})


def try_out(engine: str, folder: Path) -> dict[str, Any]:
    build()
    serve()
    master, _ = (start_director(host, engine, folder) for host in ("d1", "d2"))
    results: dict[str, Any] = {}
    for host, role in (("d1", "master"), ("d2", "backup")):
        options = ("--mcast-interface", f"{host}-eth1", "--syncid", "7")
        results[f"started {role}"] = tool(host, "ipvsadm", "--start-daemon", role, *options)
        results[role] = tool(host, "ipvsadm", "-L", "--daemon")
    results["twice"] = tool("d1", "ipvsadm", "--start-daemon", "master", "--mcast-interface", "d1-eth1")
    results["nowhere"] = tool("d2", "ipvsadm", "--start-daemon", "master", "--mcast-interface", "nosuch")
    ftp = subprocess.Popen(
        _net.command("c", sys.executable, "-c", FTP_CLIENT, VIP, str(patient(20))),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert ftp.stdin is not None
    assert ftp.stdout is not None
    ftp.stdin.write("\n")
    ftp.stdin.flush()
    results["ftp before"] = ftp.stdout.readline()
    _net.run("c", "curl", "-s", "-o", "/run/got-81", f"http://{VIP}:81/", seconds=60)
    downloads = {port: download(port) for port in (80, 8080)}
    ours = poll_until(lambda: ends("d1"), lambda known: len(known) >= 4, 30)
    copied = poll_until(lambda: ends("d2"), lambda known: known >= ours, 30)
    results["counters"] = [counters(host) for host in ("d1", "d2")]
    results["rows"] = [sorted(map(list, ours)), sorted(map(list, copied))]
    results["origins"] = sorted({str(row.get("origin")) for row in rows("d2")})
    expires = [{(r["client"], r["vip"]): r["expires"] for r in rows(host)} for host in ("d1", "d2")]
    results["lead"] = max(
        abs(expires[0][key] - left) for key, left in expires[1].items() if key in expires[0]
    )
    sent = results["sent"] = counters("d1")["sync"]["master"]
    results["received"] = poll_until(
        lambda: counters("d2")["sync"]["backup"],
        lambda received: all(received[name] >= sent[name] for name in ("messages", "connections")),
        30,
    )
    results["listing"] = tool("d2", "ipvsadm", "-Ln")
    os.kill(master.pid, signal.SIGKILL)
    master.wait()
    results["running at the death"] = [process.poll() is None for process in downloads.values()]
    for interface in ("d1-eth0", "d1-eth1"):
        _net.run("d1", "ip", "link", "set", interface, "down")
    take_over("d2")
    before = {port: got(port) for port in downloads}
    results["continued"] = {
        port: poll_until(partial(got, port), size.__lt__, 60) > size for port, size in before.items()
    }
    RELEASE.touch()
    results["codes"] = {port: process.wait(patient(60)) for port, process in downloads.items()}
    results["whole"] = {port: is_whole(Path(f"/run/got-{port}").read_bytes()) for port in downloads}
    ftp.stdin.write("\n")
    ftp.stdin.flush()
    results["ftp after"] = ftp.stdout.readline()
    results["new"] = _net.attempt(
        "c", "curl", "-s", "-m", "20", "-o", "/run/new", f"http://{VIP}/"
    ).returncode
    results |= come_back(engine, folder)
    results["stopped"] = tool("d2", "ipvsadm", "--stop-daemon", "backup")
    ftp.stdin.close()
    ftp.wait(patient(30))
    results["after"] = tool("d2", "ipvsadm", "-L", "--daemon")
    results["stopped twice"] = tool("d2", "ipvsadm", "--stop-daemon", "backup")
    return results


def come_back(engine: str, folder: Path) -> dict[str, Any]:
    """The first director comes back, with an empty table, and asks the second for its own."""
    for interface, address in (("d1-eth0", VIP), ("d1-eth1", GATEWAY)):
        _net.run("d1", "ip", "link", "set", interface, "up")
        _net.run("d1", "ip", "addr", "del", f"{address}/32", "dev", interface)
    idle = ends("d2")
    start_director("d1", engine, folder)
    before = ends("d1")
    for host, role in (("d2", "master"), ("d1", "backup")):
        options = ("--mcast-interface", f"{host}-eth1", "--syncid", "8", "--resync")
        tool(host, "ipvsadm", "--start-daemon", role, *options)
    copied = poll_until(lambda: ends("d1"), lambda known: known >= idle, 30)
    return {
        "idle": [len(idle), len(idle - before), len(idle - copied)],
        "resync": tool("d1", "ipvsadm", "-L", "--daemon"),
        "asked": counters("d2")["sync"]["master"]["requests"],
    }


def main(engine: str, folder: Path) -> None:
    try:
        results = try_out(engine, folder)
    finally:
        _net.close()
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
