"""A client, a director and a real server: three network namespaces and three cables.

    c 198.18.0.2 ──────── 198.18.0.1 d 172.16.0.1 ──────── 172.16.0.2 s
      198.18.1.2 ───────────────────────────────────────── 198.18.1.1

The lower cable is the direct path: without a director, and for replies in VS-TUN and VS-DR. The
client's packets to the VIP go to the director.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labs.errors import BuildFailed
from labs.methods import FLAGS
from labs.wait import patient, wait_for

CLIENT, NEAR_CLIENT = "198.18.0.2", "198.18.1.2"
DIRECTOR, INSIDE = "198.18.0.1", "172.16.0.1"
SERVER, NEAR_SERVER = "172.16.0.2", "198.18.1.1"
VIP = "203.0.113.1"
HTTP, IPERF = 80, 5201
_TUNNEL_MTU = 1480  # bytes: Ethernet's 1500 without the outer header

_HOSTS = ("c", "d", "s")
_CABLES = (  # host and address at both ends
    ("c", "d", CLIENT, DIRECTOR),
    ("d", "s", INSIDE, SERVER),
    ("s", "c", NEAR_SERVER, NEAR_CLIENT),
)
_SETTINGS = {
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    "net.ipv4.conf.all.arp_ignore": 1,
    "net.ipv4.conf.all.arp_announce": 2,
    "net.ipv6.conf.all.disable_ipv6": 1,
    "net.ipv6.conf.default.disable_ipv6": 1,
    "net.ipv4.ip_forward": 0,
    "net.ipv4.tcp_tw_reuse": 1,
}


class Testbed:
    """One of several at a time, told apart by `name`; `folder` holds what its programs need and say."""

    def __init__(self, name: str, method: str, folder: Path, *, offload: bool = True) -> None:
        """`method`: nat, tun, dr, or empty for the direct path. Raises BuildFailed."""
        self.name, self.method, self.folder = name, method, folder
        self.target = VIP if method else NEAR_SERVER
        self._offload = offload
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        for host in _HOSTS:
            run("ip", "netns", "add", self.namespace(host))
            self.run(host, "ip", "link", "set", "lo", "up")
            self.run(host, "sysctl", "-qw", *(f"{key}={value}" for key, value in _SETTINGS.items()))
        for one, other, here, there in _CABLES:
            self._plug(one, other, here, there, offload=offload)
        self._route()

    def namespace(self, host: str) -> str:
        return f"{self.name}-{host}"

    def _plug(self, one: str, other: str, here: str, there: str, *, offload: bool) -> None:
        ends = (f"{one}-{other}", one, here), (f"{other}-{one}", other, there)
        (near, _, _), (far, _, _) = ends
        peer = ("peer", "name", far, "netns", self.namespace(other))
        self.run(one, "ip", "link", "add", near, "type", "veth", *peer)
        for interface, host, address in ends:
            self.run(host, "ip", "addr", "add", f"{address}/24", "dev", interface)
            self.run(host, "ip", "link", "set", interface, "up")
            if not offload:
                self.run(host, "ethtool", "-K", interface, "tx", "off")

    def _route(self) -> None:
        if not self.method:
            return
        self.run("d", "ip", "addr", "add", f"{VIP}/32", "dev", "d-c")
        # What is measured is forwarding: a sender that first had to find out what fits into a tunnel
        # (in seconds, where the processor is emulated and the director is Python) would measure that.
        fits = ("mtu", str(_TUNNEL_MTU)) if self.method == "tun" else ()
        self.run("c", "ip", "route", "add", VIP, "via", DIRECTOR, *fits)
        if self.method == "nat":
            self.run("s", "ip", "route", "add", "default", "via", INSIDE)
            return
        self.run("s", "ip", "route", "add", "198.18.0.0/24", "via", NEAR_CLIENT)
        if self.method == "dr":
            self.run("s", "ip", "addr", "add", f"{VIP}/32", "dev", "lo")
            return
        self.run("s", "ip", "addr", "add", f"{VIP}/32", "dev", "tunl0")
        self.run("s", "ip", "link", "set", "tunl0", "up")
        self.run("s", "sysctl", "-qw", "net.ipv4.conf.tunl0.rp_filter=0")

    def mac(self, host: str, interface: str) -> str:
        return self.run(host, "cat", f"/sys/class/net/{interface}/address").strip()

    @contextmanager
    def segments_apart(self) -> Iterator[None]:
        """While it lasts, client and server cut what they send into segments themselves."""
        self._cut("off")
        try:
            yield
        finally:
            if self._offload:
                self._cut("on")

    def _cut(self, switch: str) -> None:
        for host, interface in (("c", "c-d"), ("c", "c-s"), ("s", "s-d"), ("s", "s-c")):
            self.run(host, "ethtool", "-K", interface, "tso", switch, "gso", switch)

    # ---- programs ----

    def run(self, host: str, *command: str, seconds: float = 20, text: str | None = None) -> str:
        """A command on one of the hosts; what it prints. Raises BuildFailed."""
        return run("ip", "netns", "exec", self.namespace(host), *command, seconds=seconds, text=text)

    def start(self, host: str, *command: str) -> subprocess.Popen[bytes]:
        """A program that runs until the testbed is closed; what it says goes to a file."""
        log = (self.folder / f"{host}-{Path(command[0]).name}.log").open("ab")
        program = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace(host), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self._processes.append(program)
        return program

    def listens(self, host: str, port: int) -> None:
        """Wait until somebody listens there."""
        wait_for(
            lambda: f":{port} " in self.run(host, "ss", "-Hltn"), 20, f"port {port} on {host}", BuildFailed
        )

    def wait(self, look: Callable[[], object], what: str) -> None:
        wait_for(look, 30, what, BuildFailed)

    def close(self) -> None:
        """End its programs; what they have made goes with the sandbox."""
        for program in self._processes:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGTERM)
        for program in self._processes:
            try:
                program.wait(patient(10))
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
        self._processes.clear()
        for host in _HOSTS:
            run("ip", "netns", "del", self.namespace(host))


def run(*command: str, seconds: float = 20, text: str | None = None) -> str:
    """Raises BuildFailed with what the command says."""
    try:
        done = subprocess.run(
            command,
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patient(seconds),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildFailed(f"{' '.join(command)}: {error}") from None
    if done.returncode:
        reason = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise BuildFailed(f"{' '.join(command)}: {reason.splitlines()[-1]}")
    return done.stdout


def rules(method: str) -> list[str]:
    """The rules of a testbed's director, as lines of ipvsadm."""
    services = (f"-t {VIP}:{HTTP}", f"-t {VIP}:{IPERF}", f"-u {VIP}:{IPERF}")
    return [line for service in services for line in (f"-A {service} -s rr", server_line(service, method))]


def server_line(service: str, method: str, server: str = SERVER) -> str:
    """A real server for a service, which has the same port."""
    return f"-a {service} -r {server}:{service.rpartition(':')[2]} {FLAGS[method]} -w 1"
