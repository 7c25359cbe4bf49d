"""Links of a given rate: HTB (tc-htb(8)) on the real servers' and on the director's cables.

A real server's link is slow in the direction of its replies. The director's is slow in both
directions and on each of its interfaces, so that what comes in and what goes out each have the
whole rate: a full duplex cable.
"""

from __future__ import annotations

import json
import subprocess

from labs.errors import BuildFailed
from labs.network.topology import Role
from labs.run.running import RunningLab
from labs.wait import patient

_BURST = 2 * 1514  # bytes that may go at once after a pause: two frames
_SERVER_QUEUE, _DIRECTOR_QUEUE = 100, 5000  # frames that wait


def shape(run: RunningLab, server_kbit: int, director_kbit: int) -> None:
    """Give every link of a lab its rate. Raises BuildFailed."""
    for server in run.plan.nodes(Role.SERVER):
        interface = server.interfaces[0]
        _on_host(run, interface.node, _commands(interface.name, server_kbit, _SERVER_QUEUE))
    for interface in run.plan.topology.director.interfaces:
        _on_host(run, interface.node, _commands(interface.name, director_kbit, _DIRECTOR_QUEUE))
        port = run.network.switch_port(interface.name)
        _tc(_commands(port, director_kbit, _DIRECTOR_QUEUE))


def _commands(interface: str, kbit: int, queue: int) -> str:
    """As lines of tc's batch mode."""
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
    """On the switches' side of the cables, where this process lives."""
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


def failed(run: RunningLab) -> list[str]:
    """The interfaces of hosts whose cable carries nothing, as the switches' ends tell it."""
    told = subprocess.run(
        ["ip", "-json", "link"], capture_output=True, text=True, timeout=patient(10), check=True
    )
    states = {link["ifname"]: link["operstate"] for link in json.loads(told.stdout)}
    interfaces = [interface for node in run.plan.topology.nodes for interface in node.interfaces]
    return [
        interface.name
        for interface in interfaces
        if states.get(run.network.switch_port(interface.name)) != "UP"
    ]
