"""Namespaces for a director as a process: client, director and server with kernels of their own.

    c 203.0.113.101 ─┐ lan (bridge) ┌─ d 203.0.113.2, VIP 203.0.113.1      VS-DR: s 203.0.113.11, too
                                    └─ d 192.0.2.1 ─ far (bridge) ─ s 192.0.2.2     VS-NAT, VS-TUN
    c 192.0.2.101 ─ far     the way of VS-TUN's replies, past the director

For programs that run inside `unshare`: director_trial.py, features_trial.py and others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from labs.wait import poll_until

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "director" / "bin"
SERVER = Path(__file__).with_name("trial_server.py")
SOCKET = "/run/lvs-director.sock"
VIP, CIP, DIP = "203.0.113.1", "203.0.113.101", "203.0.113.2"
SERVERS = {"nat": ("192.0.2.2", 8000), "tun": ("192.0.2.2", 80), "dr": ("203.0.113.11", 80)}
LINKS = (  # host, interface, bridge, address
    ("c", "c-eth0", "lan", f"{CIP}/24"),
    ("d", "d-eth0", "lan", f"{DIP}/24"),
    ("d", "d-eth1", "far", "192.0.2.1/24"),
)


def sh(*command: str, host: str = "", check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
    prefix = ("ip", "netns", "exec", host) if host else ()
    return subprocess.run((*prefix, *command), check=check, capture_output=True, text=True, **more)


def ok(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 0


def start(host: str, *command: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    with (log or Path(os.devnull)).open("ab") as output:
        command = ("ip", "netns", "exec", host, *command)
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)


def build(method: str, *, offload: bool = False) -> None:
    """With `offload`, kernels leave checksums and cutting into segments to their virtual network cards."""
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    for bridge in ("lan", "far"):
        sh("ip", "link", "add", bridge, "type", "bridge")
        sh("ip", "link", "set", bridge, "up")
    for host in "cds":
        sh("ip", "netns", "add", host)
        sh("ip", "link", "set", "lo", "up", host=host)
        sh("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0", host=host)
    for ends in LINKS:
        _link(*ends, offload=offload)
    sh("ip", "addr", "add", f"{VIP}/32", "dev", "d-eth0", "label", "d-eth0:0", host="d")
    address, _ = SERVERS[method]
    _link("s", "s-eth0", "lan" if method == "dr" else "far", f"{address}/24", offload=offload)
    if method == "nat":
        sh("ip", "route", "add", "default", "via", "192.0.2.1", host="s")
        return
    sh("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2", host="s")
    if method == "tun":
        _link("c", "c-eth1", "far", "192.0.2.101/24", offload=offload)
        sh("ip", "route", "add", "default", "via", "192.0.2.101", host="s")
        start("s", sys.executable, "-m", "realserver_setup.tunl0")
        poll_until(lambda: sh("ip", "link", "set", "tunl0", "up", host="s", check=False), ok, 10)
    sh("ip", "addr", "add", f"{VIP}/32", "dev", "tunl0" if method == "tun" else "lo", host="s")


def make_anew(host: str) -> None:
    """Another interface in the place of each one of a host, of the same name, with the same addresses."""
    for ends in LINKS:
        if ends[0] == host:
            sh("ip", "link", "del", ends[1], host=host)
            _link(*ends, offload=False)
    if host == "d":
        sh("ip", "addr", "add", f"{VIP}/32", "dev", "d-eth0", "label", "d-eth0:0", host="d")
    for other in "cs":  # who ask at once, and not when their memory of the old one is old
        sh("ip", "neigh", "flush", "all", host=other)


def _link(host: str, interface: str, bridge: str, address: str, *, offload: bool) -> None:
    sh("ip", "link", "add", interface, "netns", host, "type", "veth", "peer", "name", f"b-{interface}")
    sh("ip", "link", "set", f"b-{interface}", "master", bridge, "up")
    sh("ip", "addr", "add", address, "dev", interface, host=host)
    sh("ip", "link", "set", interface, "up", host=host)
    if not offload:
        sh("ethtool", "-K", interface, "tx", "off", host=host)


def _listening(host: str, port: str) -> str:
    return sh("ss", "-Hltn", f"sport = :{port}", host=host).stdout


def serve(host: str, *endpoints: str, log: Path) -> None:
    """Start a real server of the host's name, and wait until it listens."""
    start(host, sys.executable, str(SERVER), host, *endpoints, log=log)
    for endpoint in endpoints:
        port = endpoint.rpartition(":")[2]
        poll_until(partial(_listening, host, port), bool, 10)


def start_director(method: str, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    Path(SOCKET).unlink(missing_ok=True)
    command = (sys.executable, "-m", "director", "--method", method, "--events", str(folder / "events"))
    process = start("d", *command, *more, log=folder / "director.log")
    poll_until(lambda: Path(SOCKET).exists() or process.poll() is not None, bool, 20)
    return process


def tool(name: str, *arguments: str) -> str:
    """What an administration tool says."""
    done = sh(str(BIN / name), *arguments, host="d", check=False)
    return done.stdout + done.stderr


def curl(*arguments: str) -> list[str]:
    """Exit code, HTTP status, the client's address as the server saw it, the server's name."""
    form = "%{exitcode} %{http_code} %header{client} %header{name}"
    command = ("curl", "-s", "-m", "20", "-w", form, "-o", "/run/got", *arguments)
    return sh(*command, host="c", check=False).stdout.split()
