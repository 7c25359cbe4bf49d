"""Clients far away: delay and loss on their cables, by the kernel's netem (tc-netem(8))."""

from __future__ import annotations

import subprocess

from labs.errors import LabError
from labs.network.emulation import Network
from labs.network.topology import Interface
from labs.run.options import LabOptions
from labs.wait import patient


def words(options: LabOptions) -> list[str]:
    """What netem is told."""
    delay = ["delay", f"{options.delay:g}ms"] if options.delay else []
    loss = ["loss", f"{options.loss:g}%"] if options.loss else []
    return ["netem", *delay, *loss]


def impair(network: Network, client: Interface, options: LabOptions) -> None:
    """Both ends of a client's cable: what goes into either is late, or lost. Raises LabError."""
    rule = ["root", *words(options)]
    network.hosts[client.node].run(["tc", "qdisc", "replace", "dev", client.name, *rule])
    command = ["tc", "qdisc", "replace", "dev", network.switch_port(client.name), *rule]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(10), check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")
