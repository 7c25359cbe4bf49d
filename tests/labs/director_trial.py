"""The part of test_director_process.py that runs in namespaces of its own: client, director, server.

    c 203.0.113.101 ─┐ lan (bridge) ┌─ d 203.0.113.2, VIP 203.0.113.1      VS-DR: s 203.0.113.11, too
                                    └─ d 192.0.2.1 ─ far (bridge) ─ s 192.0.2.2     VS-NAT, VS-TUN
    c 192.0.2.101 ─ far     the way of VS-TUN's replies, past the director

Started as `python director_trial.py METHOD FOLDER` inside `unshare`; writes FOLDER/seen.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

from director.control.channel import call
from labs.wait import look_until

ROOT = Path(__file__).resolve().parents[2]
SOCKET = "/run/lvs-director.sock"
ADMIN = str(ROOT / "director" / "bin" / "ippfvsadm")
VIP, CIP = "203.0.113.1", "203.0.113.101"
SERVERS = {"nat": ("192.0.2.2", 8000), "tun": ("192.0.2.2", 80), "dr": ("203.0.113.11", 80)}
SIZE = 1_000_000
CONTENT = bytes(range(250)) * (SIZE // 250)
LINKS = (  # host, interface, bridge, address
    ("c", "c-eth0", "lan", f"{CIP}/24"),
    ("d", "d-eth0", "lan", "203.0.113.2/24"),
    ("d", "d-eth1", "far", "192.0.2.1/24"),
)


def sh(*command: str, host: str = "", check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
    prefix = ("ip", "netns", "exec", host) if host else ()
    return subprocess.run((*prefix, *command), check=check, capture_output=True, text=True, **more)


class Handler(BaseHTTPRequestHandler):
    """Gives CONTENT, and says of what it gets how it hashes; names the client it sees."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(CONTENT)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(hashlib.sha256(data).hexdigest().encode())

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Client", self.client_address[0])
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def server_bind(self) -> None:
        """Without looking its own name up: there is nobody to ask."""
        TCPServer.server_bind(self)


def link(host: str, interface: str, bridge: str, address: str) -> None:
    sh("ip", "link", "add", interface, "netns", host, "type", "veth", "peer", "name", f"b-{interface}")
    sh("ip", "link", "set", f"b-{interface}", "master", bridge, "up")
    sh("ip", "addr", "add", address, "dev", interface, host=host)
    sh("ip", "link", "set", interface, "up", host=host)
    sh("ethtool", "-K", interface, "tx", "off", host=host)


def build(method: str) -> None:
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    for bridge in ("lan", "far"):
        sh("ip", "link", "add", bridge, "type", "bridge")
        sh("ip", "link", "set", bridge, "up")
    for host in "cds":
        sh("ip", "netns", "add", host)
        sh("ip", "link", "set", "lo", "up", host=host)
        sh("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0", host=host)
    for ends in LINKS:
        link(*ends)
    sh("ip", "addr", "add", f"{VIP}/32", "dev", "d-eth0", "label", "d-eth0:0", host="d")
    address, _ = SERVERS[method]
    link("s", "s-eth0", "lan" if method == "dr" else "far", f"{address}/24")
    if method == "nat":
        sh("ip", "route", "add", "default", "via", "192.0.2.1", host="s")
        return
    sh("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2", host="s")
    if method == "tun":
        link("c", "c-eth1", "far", "192.0.2.101/24")
        sh("ip", "route", "add", "default", "via", "192.0.2.101", host="s")
        start("s", sys.executable, "-m", "realserver_setup.tunl0")
        look_until(lambda: sh("ip", "link", "set", "tunl0", "up", host="s", check=False), ok, 10)
    sh("ip", "addr", "add", f"{VIP}/32", "dev", "tunl0" if method == "tun" else "lo", host="s")


def ok(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 0


def start(host: str, *command: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    with (log or Path(os.devnull)).open("ab") as output:
        command = ("ip", "netns", "exec", host, *command)
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)


def start_director(method: str, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    Path(SOCKET).unlink(missing_ok=True)
    command = (sys.executable, "-m", "director", "--method", method, "--events", str(folder / "events"))
    process = start("d", *command, *more, log=folder / "director.log")
    look_until(lambda: Path(SOCKET).exists() or process.poll() is not None, bool, 20)
    return process


def admin(*arguments: str) -> str:
    done = sh(ADMIN, *arguments, host="d", check=False)
    return done.stdout + done.stderr


def curl(*arguments: str) -> list[str]:
    """Exit code, HTTP status, the client's address as the server saw it, seconds."""
    form = "%{exitcode} %{http_code} %header{client} %{time_total}"
    command = ("curl", "-s", "-m", "20", "-w", form, "-o", "/run/got", *arguments)
    return sh(*command, host="c", check=False).stdout.split()


def transfers() -> dict[str, Any]:
    uploaded = Path("/run/upload")
    uploaded.write_bytes(CONTENT[::-1])
    seen: dict[str, Any] = {"download": curl(f"http://{VIP}/")}
    seen["downloaded"] = Path("/run/got").read_bytes() == CONTENT
    seen["upload"] = curl("-H", "Expect:", "--data-binary", f"@{uploaded}", f"http://{VIP}/")
    seen["uploaded"] = Path("/run/got").read_text() == hashlib.sha256(CONTENT[::-1]).hexdigest()
    return seen


def kernel_of_director() -> dict[str, Any]:
    """What the director's kernel has said itself, and what of the director is there."""
    words = sh("env", "NSTAT_HISTORY=/run/nstat", "nstat", "-az", host="d").stdout.split()
    return {
        "resets": int(words[words.index("TcpOutRsts") + 1]),
        "unreachables": int(words[words.index("IcmpOutDestUnreachs") + 1]),
        "redirects": int(words[words.index("IcmpOutRedirects") + 1]),
        "tables": sh("nft", "list", "tables", host="d").stdout.strip(),
        "device": ok(sh("ip", "link", "show", "lvs0", host="d", check=False)),
        "socket": Path(SOCKET).exists(),
    }


def try_out(method: str, folder: Path) -> dict[str, Any]:
    server = ":".join(map(str, SERVERS[method]))
    process = start_director(method, folder)
    seen: dict[str, Any] = {"none": admin("-L"), "add": admin("-A", "-t", f"{VIP}:80", "-R", server)}
    seen["list"] = admin("-L")
    seen["again"] = admin("-A", "-t", f"{VIP}:80", "-R", server)
    before = call(SOCKET, {"do": "counters"})
    seen |= transfers()
    seen["kernel"] = kernel_of_director()
    after = call(SOCKET, {"do": "counters"})
    seen["counters"] = after["engine"]
    seen["cost"] = [after["process"][key] - before["process"][key] for key in ("cpu_seconds",)]
    seen["second"] = start_second(folder)
    seen["refused"] = curl(f"http://{VIP}:81/")[0]
    seen["ping"] = ok(sh("ping", "-c", "1", "-W", "2", VIP, host="c", check=False))
    seen["vip_mac"] = sh("ip", "neigh", "show", VIP, host="c").stdout.split()[4]
    seen["director_mac"] = json.loads(sh("ip", "-j", "link", "show", "d-eth0", host="d").stdout)[0]["address"]
    seen["deleted"] = admin("-D", "-t", f"{VIP}:80", "-R", server)
    seen["after_delete"] = curl(f"http://{VIP}/")[0]
    process.send_signal(signal.SIGKILL)
    process.wait()
    seen["killed"] = kernel_of_director()
    process = start_director(method, folder)
    admin("-A", "-t", f"{VIP}:80", "-R", server)
    seen["after_kill"] = curl(f"http://{VIP}/")[:2]
    process.send_signal(signal.SIGTERM)
    seen["exit"] = process.wait(10)
    seen["ended"] = kernel_of_director()
    seen["events"] = sorted(
        {json.loads(line)["kind"] for line in (folder / "events").read_text().splitlines()}
    )
    return seen


def start_second(folder: Path) -> list[Any]:
    """Another director on the same host can't be."""
    log = folder / "second.log"
    other = start("d", sys.executable, "-m", "director", "--socket", "/run/other.sock", log=log)
    return [other.wait(20), log.read_text()]


def main(arguments: Sequence[str]) -> None:
    method, folder = arguments[0], Path(arguments[1])
    if method == "serve":
        address, port = arguments[1].split(":")
        Server((address, int(port)), Handler).serve_forever()
    build(method)
    address, port = SERVERS[method]
    bound = f"{address if method == 'nat' else VIP}:{port}"
    start("s", sys.executable, __file__, "serve", bound, log=folder / "server.log")
    look_until(lambda: sh("ss", "-Hltn", f"sport = :{port}", host="s").stdout, bool, 10)
    (folder / "seen.json").write_text(json.dumps(try_out(method, folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
