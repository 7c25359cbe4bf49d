"""The scaling experiment of one method: a lab with all its servers, then point after point.

The lab is built once. For each point the director gets the first N real servers, clients download from the
VIP without pause, and for some seconds the arriving bytes are counted. All counters are read at the beginning
and at the end of these seconds. There are as many connections as real servers, and by round robin (rr) each
server gets one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from compare.point import Point, Processors, Sample, bytes_at, samples_in
from compare.settings import Settings
from director.formats.ipvsadm_words import endpoint
from labs.controller.controller_client import PortCounters
from labs.errors import BuildFailed, LabError
from labs.methods import FLAGS
from labs.network.topology import Role, Topology
from labs.plan import RealServer
from labs.run.running import RunningLab
from labs.wait import patient, poll_until

_LOAD = Path(__file__).resolve().parent / "clients.py"
_LARGEST = "/10m.bin"
_BURST = 2 * 1514  # bytes that may be sent at once after a pause: two frames
_SERVER_QUEUE, _DIRECTOR_QUEUE = 100, 5000  # frames


class Scaling:
    """Measures a running lab, after setting the rates of its links."""

    def __init__(self, run: RunningLab, settings: Settings) -> None:
        self._run = run
        self._settings = settings
        shape_links(run, settings.server_kbit, settings.director_kbit)

    def measure(self, count: int) -> Point:
        """Measure a point with the first `count` real servers. Raises LabError, ChannelError, OSError."""
        servers = self._run.plan.servers[:count]
        give_rules(self._run, servers)
        clients = self._start(count)
        try:
            return self._watch(servers, [log for _, log in clients])
        finally:
            for process, _ in clients:
                process.kill()
                process.wait()

    def _start(self, connections: int) -> list[tuple[subprocess.Popen[str], Path]]:
        """Start the clients and divide the connections among them."""
        started = []
        clients = self._run.clients
        for place, client in enumerate(clients):
            share = connections // len(clients) + (place < connections % len(clients))
            log = self._run.evidence.log(f"load-{connections}-{client.host.name}")
            command = [sys.executable, "-S", "-E", str(_LOAD), self._run.plan.vip, str(share), _LARGEST]
            command.append(str(self._settings.warm_up_for(connections) / 2))
            started.append((client.host.start(command, log), log))
        return started

    def _watch(self, servers: tuple[RealServer, ...], logs: list[Path]) -> Point:
        connections = len(servers)
        pid = self._run.director.pid
        began = time.monotonic()
        poll_until(lambda: _delivering(logs), lambda now: now >= connections, self._settings.patience)
        time.sleep(max(0.0, began + self._settings.warm_up_for(len(servers)) - time.monotonic()))
        before = self._ports()
        first = Processors.now(pid)
        time.sleep(self._settings.seconds)
        after = self._ports()
        last = Processors.now(pid)
        samples = poll_until(lambda: [samples_in(log) for log in logs], partial(_cover, last.at), 5)
        return self._point(servers, samples, first, last, _differences(before, after))

    def _ports(self) -> dict[str, PortCounters]:
        return {port.name: port for port in self._run.controller.ports()}

    def _point(
        self,
        servers: tuple[RealServer, ...],
        samples: list[list[Sample]],
        first: Processors,
        last: Processors,
        counted: dict[str, PortCounters],
    ) -> Point:
        seconds = last.at - first.at
        director = [counted[port] for port in self._ports_of(self._run.plan.topology.director.name)]
        farm = [counted[port] for server in servers for port in self._ports_of(server.name)]
        busiest = max(max(port.rx_bytes, port.tx_bytes) for port in director)
        link, links_of_servers = self._settings.director_rate, self._settings.server_rate * len(servers)
        return Point(
            method=self._run.plan.method.name.lower(),
            servers=len(servers),
            seconds=seconds,
            delivered=sum(bytes_at(log, last.at) - bytes_at(log, first.at) for log in samples) / seconds,
            connections=len(servers),
            delivering=sum(log[-1].delivering for log in samples if log),
            failed=sum(log[-1].failed for log in samples if log),
            director_out=sum(port.rx_bytes for port in director) / seconds,
            director_in=sum(port.tx_bytes for port in director) / seconds,
            director_packets=sum(port.rx_packets for port in director) / seconds,
            director_link=busiest / seconds / link,
            server_links=sum(port.rx_bytes for port in farm) / seconds / links_of_servers,
            idle=first.idle_until(last),
            director_cpu=first.used_until(last),
            troubles=self._troubles(),
        )

    def _ports_of(self, host: str) -> list[str]:
        """The switch ports of a host."""
        return [
            self._run.network.switch_port(interface)
            for interface in _interfaces(self._run.plan.topology, host)
        ]

    def _troubles(self) -> tuple[str, ...]:
        ended = [f"the httpd of {name} has ended" for name in self._run.farm.ended()]
        down = [f"the link of {interface} has failed" for interface in failed_links(self._run)]
        return (*ended, *down)


def give_rules(run: RunningLab, servers: tuple[RealServer, ...]) -> None:
    """Make port 80 over `servers`, round robin, the director's only service. Raises LabError."""
    service, flag = f"-t {endpoint(run.plan.vip, 80)}", FLAGS[run.plan.method.name.lower()]
    lines = [f"-a {service} -r {endpoint(server.address, server.http_port)} {flag}" for server in servers]
    director = run.network.hosts[run.plan.topology.director.name]
    for command, text in (["ipvsadm", "-C"], None), (["ipvsadm", "-R"], f"-A {service} -s rr\n"):
        whole = None if text is None else text + "\n".join(lines) + "\n"
        done = director.run(command, text=whole)
        if done.exit_code:
            raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")


def _interfaces(topology: Topology, host: str) -> list[str]:
    return [interface.name for node in topology.nodes if node.name == host for interface in node.interfaces]


def _delivering(logs: list[Path]) -> int:
    """The number of connections, over all clients, that have received data."""
    return sum(samples[-1].delivering for samples in map(samples_in, logs) if samples)


def _cover(time: float, samples: list[list[Sample]]) -> bool:
    """Whether every client has a sample after `time`."""
    return all(log and log[-1].at > time for log in samples)


def _differences(before: dict[str, PortCounters], after: dict[str, PortCounters]) -> dict[str, PortCounters]:
    """The differences of the counters."""
    return {
        name: PortCounters(
            later.switch,
            later.dpid,
            later.port,
            name,
            *(
                getattr(later, field) - getattr(before[name], field)
                for field in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")
            ),
        )
        for name, later in after.items()
        if name in before
    }


# ---- links of a given rate: HTB (tc-htb(8)) ----


def shape_links(run: RunningLab, server_kbit: int, director_kbit: int) -> None:
    """Set the rate of every link of a lab. Raises BuildFailed.

    A real server's link is slow in the direction of its replies. The director's is slow in both directions
    and on each of its interfaces: input and output each have the whole rate, as on a full duplex cable.
    """
    for server in run.plan.nodes(Role.SERVER):
        interface = server.interfaces[0]
        _on_host(run, interface.node, _commands(interface.name, server_kbit, _SERVER_QUEUE))
    for interface in run.plan.topology.director.interfaces:
        _on_host(run, interface.node, _commands(interface.name, director_kbit, _DIRECTOR_QUEUE))
        port = run.network.switch_port(interface.name)
        _tc(_commands(port, director_kbit, _DIRECTOR_QUEUE))


def _commands(interface: str, kbit: int, queue: int) -> str:
    """Lines for tc's batch mode."""
    rate = f"rate {kbit}kbit ceil {kbit}kbit burst {_BURST} cburst {_BURST} quantum 1514"
    return (
        f"qdisc replace dev {interface} root handle 1: htb default 1\n"
        f"class replace dev {interface} parent 1: classid 1:1 htb {rate}\n"
        f"qdisc replace dev {interface} parent 1:1 pfifo limit {queue}\n"
    )


def _on_host(run: RunningLab, host: str, commands: str) -> None:
    done = run.network.hosts[host].run(["tc", "-batch", "-"], text=commands)
    if done.exit_code:
        raise BuildFailed(f"tc on {host}: {done.stderr.strip()}")


def _tc(commands: str) -> None:
    """Run tc for the switches' ends of the cables, in the namespace of this process."""
    done = subprocess.run(
        ["tc", "-batch", "-"],
        input=commands,
        capture_output=True,
        text=True,
        timeout=patient(10),
        check=False,
    )
    if done.returncode:
        raise BuildFailed(f"tc: {done.stderr.strip()}")


def failed_links(run: RunningLab) -> list[str]:
    """The hosts' interfaces whose cables are down at the switches' ends."""
    listing = subprocess.run(
        ["ip", "-json", "link"], capture_output=True, text=True, timeout=patient(10), check=True
    )
    states = {link["ifname"]: link["operstate"] for link in json.loads(listing.stdout)}
    interfaces = [interface for node in run.plan.topology.nodes for interface in node.interfaces]
    return [
        interface.name
        for interface in interfaces
        if states.get(run.network.switch_port(interface.name)) != "UP"
    ]
