"""A test bed for a director as a process: client, director and server, each with its own network stack.

    c 203.0.113.101 ─┐ lan (bridge) ┌─ d 203.0.113.2, VIP 203.0.113.1      VS-DR: also s 203.0.113.11
                                    └─ d 192.0.2.1 ─ far (bridge) ─ s 192.0.2.2     VS-NAT, VS-TUN
    c 192.0.2.101 ─ far     the path of VS-TUN's replies, past the director

For programs that run inside `unshare`: director_trial.py, features_trial.py and others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from labs.errors import BuildFailed
from labs.network.namespaces import Namespaces, run
from labs.wait import patient, poll_until

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
_HIDDEN = {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2}  # the server's VIP
NETWORK = _net = Namespaces("", Path("/run/logs"))


def sh(
    *command: str, host: str = "", check: bool = True, text: str | None = None, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command on a host. Raises BuildFailed if it fails, unless `check` is False."""
    done = _net.attempt(host, *command, seconds=seconds, text=text)
    if check and done.returncode:
        raise BuildFailed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def ok(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 0


def start(host: str, *command: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    return _net.start(host, *command, log=log or Path(os.devnull))


def build(method: str, *, offload: bool = False) -> None:
    """With `offload`, kernels leave checksums and segmentation to their virtual network cards."""
    os.chdir(ROOT)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for bridge in ("lan", "far"):
        _net.bridge(bridge)
    _net.add("c")
    _net.add("d")
    _net.add("s", _HIDDEN if method != "nat" else None)
    for link in LINKS:
        _net.plug(*link, offload=offload)
    _add_vip()
    address, _ = SERVERS[method]
    _net.plug("s", "s-eth0", "lan" if method == "dr" else "far", f"{address}/24", offload=offload)
    if method == "nat":
        sh("ip", "route", "add", "default", "via", "192.0.2.1", host="s")
        return
    if method == "tun":
        _net.plug("c", "c-eth1", "far", "192.0.2.101/24", offload=offload)
        sh("ip", "route", "add", "default", "via", "192.0.2.101", host="s")
        start("s", sys.executable, "-m", "realserver_setup.tunl0")
        poll_until(lambda: sh("ip", "link", "set", "tunl0", "up", host="s", check=False), ok, 10)
    sh("ip", "addr", "add", f"{VIP}/32", "dev", "tunl0" if method == "tun" else "lo", host="s")


def _add_vip() -> None:
    sh("ip", "addr", "add", f"{VIP}/32", "dev", "d-eth0", "label", "d-eth0:0", host="d")


def make_anew(host: str) -> None:
    """Replace each interface of a host by another of the same name, with the same addresses."""
    for link in LINKS:
        if link[0] == host:
            sh("ip", "link", "del", link[1], host=host)
            _net.plug(*link, offload=False)
    if host == "d":
        _add_vip()
    for other in "cs":  # so they send ARP requests at once, not when their entries expire
        sh("ip", "neigh", "flush", "all", host=other)


def serve(host: str, *endpoints: str, log: Path) -> None:
    """Start a real server of the host's name, and wait until it listens."""
    start(host, sys.executable, "-S", str(SERVER), host, *endpoints, log=log)
    for endpoint in endpoints:
        _net.wait_for_port(host, int(endpoint.rpartition(":")[2]))


def start_director(method: str, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    Path(SOCKET).unlink(missing_ok=True)
    command = (sys.executable, "-m", "director", "--method", method, "--events", str(folder / "events"))
    process = start("d", *command, *more, log=folder / "director.log")
    poll_until(lambda: Path(SOCKET).exists() or process.poll() is not None, bool, 20)
    return process


def tool(name: str, *arguments: str) -> str:
    """The output of an administration tool."""
    done = sh(str(BIN / name), *arguments, host="d", check=False)
    return done.stdout + done.stderr


def curl(*arguments: str) -> list[str]:
    """Exit code, HTTP status, the client's address as the server saw it, the server's name."""
    form = "%{exitcode} %{http_code} %header{client} %header{name}"
    command = ("curl", "-s", "-m", f"{patient(20):.0f}", "-w", form, "-o", "/run/got", *arguments)
    return sh(*command, host="c", check=False).stdout.split()


def add_server(name: str, address: str) -> None:
    """One more real server for VS-DR, with the VIP on its loopback interface."""
    _net.add(name, _HIDDEN)
    _net.plug(name, f"{name}-eth0", "lan", f"{address}/24", offload=False)
    sh("ip", "addr", "add", f"{VIP}/32", "dev", "lo", host=name)
