"""A client, two directors and three real servers, in network namespaces of their own.

    c 203.0.113.101 ─┐ lan (bridge) ┌─ d1 203.0.113.2 ── 192.0.2.251 ─┐ far (bridge) ┌─ s1 192.0.2.11
                     │              └─ d2 203.0.113.3 ── 192.0.2.252 ─┘              ├─ s2 192.0.2.12
                     └─ s1, s2, s3 203.0.113.11, .12, .13                            └─ s3 192.0.2.13

The active director has the VIP, 203.0.113.1, and the real servers' gateway, 192.0.2.1. There is a service for
each method and scheduler at the same time: see `port`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from availability import vip
from availability.vrrp.instances import Address
from director.control.channel import ChannelError, call
from director.ipvsadm import save_format
from labs.errors import BuildFailed
from labs.methods import FLAGS, METHODS
from labs.network.namespaces import Namespaces, run
from labs.wait import patient
from realserver_setup import syscalls

T = TypeVar("T")

VIP, GATEWAY = "203.0.113.1", "192.0.2.1"
PROBES, HTTP = 9000, 80  # ports of UDP probes, and of nginx, both in VS-DR
_BRIDGES = ("lan", "far")
SCHEDULERS = ("rr", "mh")
DIRECTORS = ("d1", "d2")
SERVERS = {f"s{number}": (f"203.0.113.1{number}", f"192.0.2.1{number}") for number in (1, 2, 3)}
_LINKS = {
    "c": ("203.0.113.101", ""),
    "d1": ("203.0.113.2", "192.0.2.251"),
    "d2": ("203.0.113.3", "192.0.2.252"),
}
_HIDDEN = {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2}
_SYSCTLS = Path(__file__).resolve().parent.parent / "director" / "bin" / "ipvs-sysctl"
_ANNOUNCED = 3  # gratuitous ARP requests of a takeover by hand


def port(method: str, scheduler: str) -> int:
    """The service's port for a method and a scheduler."""
    return 8001 + METHODS.index(method) + 10 * SCHEDULERS.index(scheduler)


def _echo_ports() -> list[int]:
    return [port(method, scheduler) for method in METHODS for scheduler in SCHEDULERS]


def rules() -> list[str]:
    """All rules as lines of ipvsadm."""
    services = [(f"-u {VIP}:{PROBES}", "rr", "dr"), (f"-t {VIP}:{HTTP}", "rr", "dr")]
    services += [
        (f"-t {VIP}:{port(method, name)}", name, method) for method in METHODS for name in SCHEDULERS
    ]
    lines = []
    for service, scheduler, method in services:
        lines.append(f"-A {service} -s {scheduler}")
        at = service.rpartition(":")[2]
        for near, far in SERVERS.values():
            lines.append(f"-a {service} -r {near if method == 'dr' else far}:{at} {FLAGS[method]} -w 1")
    return lines


class Pair(Namespaces):
    """The network with its programs. Methods raise BuildFailed if a program does not start or answer."""

    def __init__(self, folder: Path, engine: str) -> None:
        super().__init__("", folder)
        self._engine = engine
        self._alive: dict[str, list[subprocess.Popen[bytes]]] = {host: [] for host in DIRECTORS}
        for bridge in _BRIDGES:
            self.bridge(bridge)
        for host, (near, far) in {**_LINKS, **SERVERS}.items():
            self.add(host, _HIDDEN if host in SERVERS else None)
            self.plug(host, f"{host}-eth0", "lan", f"{near}/24", offload=False)
            if far:
                self.plug(host, f"{host}-eth1", "far", f"{far}/24", offload=False)
        for host, (_, far) in SERVERS.items():
            self._set_up_server(host, far)
        self._serving: list[subprocess.Popen[bytes]] = []
        self.restart_servers()
        for host in DIRECTORS:
            self.start_director(host)

    def _set_up_server(self, host: str, far: str) -> None:
        self.start(
            host, sys.executable, "-m", "realserver_setup.tunl0", log=self.folder / f"{host}-tunl0.log"
        )
        self.wait(lambda: not self.attempt(host, "ip", "link", "set", "tunl0", "up").returncode, "tunl0")
        self.run(host, "ip", "addr", "add", f"{VIP}/32", "dev", "lo")
        self.run(host, "ip", "route", "add", "default", "via", GATEWAY, "table", "7")
        self.run(host, "ip", "rule", "add", "from", far, "table", "7")

    def restart_servers(self) -> None:
        """Restart the servers' programs: an old connection would refuse a new one's SYN."""
        for program in self._serving:
            program.kill()
            program.wait()
        self._serving = [self._serve(host) for host in SERVERS]
        for host in SERVERS:
            for number in _echo_ports():
                self.wait_for_port(host, number)

    def _serve(self, host: str) -> subprocess.Popen[bytes]:
        words = (VIP, str(PROBES), *map(str, _echo_ports()))
        return self.start(
            host, sys.executable, "-m", "failover.echo", *words, log=self.folder / f"{host}-echo.log"
        )

    def close(self) -> None:
        """End everything; another pair may follow in the same sandbox."""
        cables = [f"b-{host}-eth{number}" for host in (*_LINKS, *SERVERS) for number in (0, 1)]
        existing = {line.split("@")[0].split()[0] for line in run("ip", "-br", "link").splitlines()}
        lines = [f"link del {name}\n" for name in (*cables, *_BRIDGES) if name in existing]
        run("ip", "-batch", "-", text="".join(lines))  # now: those of a namespace end later
        super().close()

    # ---- directors ----

    def socket(self, host: str) -> str:
        return f"/run/{host}.sock"

    def start_director(self, host: str) -> None:
        """Start a director and load all rules."""
        Path(self.socket(host)).unlink(missing_ok=True)
        log = self.folder / f"{host}.log"
        options = ("--engine", self._engine, "--socket", self.socket(host))
        program = self.start(
            host, sys.executable, "-m", "director", *options, f"{host}-eth0", f"{host}-eth1", log=log
        )
        self._alive[host].append(program)

        def is_up() -> bool:
            if program.poll() is not None:
                lines = log.read_text().splitlines() or ["no output"]
                raise BuildFailed(f"the director on {host} has ended: {lines[-1]}")
            return Path(self.socket(host)).exists()

        self.wait(is_up, f"the director on {host}")
        commands = [command for line in rules() for command in save_format.read(line)]
        self.ask(host, {"do": "apply", "commands": commands})

    def ask(self, host: str, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request to a director; returns its answer."""
        try:
            answer = call(self.socket(host), request, timeout=patient(20))
        except ChannelError as error:
            raise BuildFailed(f"the director on {host}: {error}") from None
        if not answer.get("ok"):
            raise BuildFailed(f"the director on {host}: {answer.get('error')}")
        return dict(answer)

    def processor_time(self, host: str) -> float:
        """Processor time of the director's process so far, in seconds: utime and stime in proc(5)."""
        fields = Path(f"/proc/{self._alive[host][0].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def set(self, host: str, name: str, value: int) -> None:
        """Set a variable of ipvs-sysctl."""
        self.run(host, "env", f"LVS_SOCKET={self.socket(host)}", str(_SYSCTLS), f"{name}={value}")

    def synchronise(self, host: str, role: str, *, resync: bool = False) -> None:
        """Start the director's synchronisation daemon of this role."""
        daemon = {"role": role, "interface": f"{host}-eth1", "syncid": 7, "resync": resync}
        self.ask(host, {"do": "start_daemon", **daemon})

    def accompany(self, host: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a program on a director's host; it dies with the director."""
        program = self.start(host, *command, log=self.folder / f"{host}-takeover.log")
        self._alive[host].append(program)
        return program

    def kill(self, host: str) -> None:
        """Kill a director: its programs get SIGKILL, and its cables go down."""
        for program in self._alive[host]:
            if program.poll() is None:
                os.kill(program.pid, signal.SIGKILL)
        run("ip", "-batch", "-", text="".join(f"link set {cable} down\n" for cable in self._cables(host)))
        self._forget(host)

    def restart(self, host: str) -> None:
        """Restart a director with an empty table: clients may use the same ports again."""
        for program in self._alive[host]:
            program.kill()
        self._forget(host)
        self.start_director(host)

    def _forget(self, host: str) -> None:
        """Reap the dead programs, and remove the ebpf engine's program, which outlives its process."""
        for program in self._alive[host]:
            program.wait()
        self._alive[host].clear()
        for interface in (f"{host}-eth0", f"{host}-eth1"):
            self.attempt(host, "tc", "qdisc", "del", "dev", interface, "clsact")

    def revive(self, host: str) -> None:
        """Bring a dead director back, without the shared addresses."""
        self.give_up(host)
        run("ip", "-batch", "-", text="".join(f"link set {cable} up\n" for cable in self._cables(host)))
        self.start_director(host)

    def take_over(self, host: str) -> None:
        """Add the shared addresses and announce them, without a program that would need time to notice."""

        def work() -> None:
            for address in self._shared(host):
                vip.add_address(address)
            for _ in range(_ANNOUNCED):
                for address in self._shared(host):
                    vip.send_gratuitous_arp(address)

        self._inside(host, work)

    def give_up(self, host: str) -> None:
        """Remove the shared addresses."""
        for address in self._shared(host):
            self._inside(host, lambda address=address: vip.remove_address(address))  # type: ignore[misc]

    def owners(self) -> tuple[str, ...]:
        """The directors that have the VIP and are not dead."""

        def has_vip(host: str) -> bool:
            shown = self._inside(
                host, lambda: subprocess.run(["ip", "-o", "addr"], capture_output=True, text=True)
            )
            return f" {VIP}/32 " in shown.stdout

        return tuple(host for host in DIRECTORS if self._alive[host] and has_vip(host))

    @staticmethod
    def _cables(host: str) -> Iterable[str]:
        """The switches' ends of a director's cables."""
        return (f"b-{host}-eth0", f"b-{host}-eth1")

    @staticmethod
    def _shared(host: str) -> tuple[Address, ...]:
        return (Address(VIP, 32, f"{host}-eth0"), Address(GATEWAY, 32, f"{host}-eth1"))

    def _inside(self, host: str, work: Callable[[], T]) -> T:
        """Call `work` in a thread that has entered a host's namespace; returns its result."""

        def in_namespace() -> T:
            syscalls.enter(f"/run/netns/{self.namespace(host)}")
            return work()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(in_namespace).result()


def other(host: str) -> str:
    """The other director."""
    return next(name for name in DIRECTORS if name != host)
