"""A topology, built with Mininet: hosts, Open vSwitch bridges and the cables between them.

Mininet only plugs things together. Addresses and routes come from the set-up scripts, so that a student
reads them there. Its clean-up is not used: when the sandbox ends, everything goes with it. Cables of
distant clients get delay and loss from the kernel's netem (tc-netem(8))."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from labs.errors import LabError
from labs.hosts.environment import reset_settings
from labs.hosts.host import Host
from labs.network.topology import Interface, Topology
from labs.run.evidence import Evidence
from labs.run.options import LabOptions
from labs.wait import patient

CONTROLLER_PORT = 6653
_OPENFLOW = "OpenFlow13"
_DESCRIPTORS = 2048  # enough for the shells of 200 hosts, two each, and what is open already


class Network:
    """Hosts by name once `build` has run; `mininet` is the object that Mininet's prompt needs."""

    def __init__(self, topology: Topology, kernel_datapath: bool, evidence: Evidence) -> None:
        self._topology = topology
        self._datapath = "kernel" if kernel_datapath else "user"
        self._evidence = evidence
        self.mininet: Any = None
        self.hosts: dict[str, Host] = {}

    def build(self, controller_listens: Callable[[], None]) -> None:
        """Make hosts, bridges and cables, and point the bridges at the controller.

        `controller_listens` returns when it does: a bridge that is refused asks again a second later.
        """
        from mininet.log import setLogLevel  # 0.1 s: only a command that builds pays for it
        from mininet.net import Mininet

        setLogLevel("error")
        self.mininet = Mininet(topo=None, controller=None, build=False)
        self._add_switches()
        with _few_descriptors():
            self._add_hosts()
        self.mininet.addController(_controller())
        self.mininet.build()
        controller_listens()
        self.mininet.start()

    def _add_switches(self) -> None:
        kind = _switch()
        for name in self._topology.switches:
            self.mininet.addSwitch(
                name,
                cls=kind,
                datapath=self._datapath,
                protocols=_OPENFLOW,
                failMode="secure",
                batch=True,  # a shell would cut the command for a hundred ports off at 4096 characters
            )

    def _add_hosts(self) -> None:
        for node in self._topology.nodes:
            host = self.mininet.addHost(node.name, ip=None)
            reset_settings(host.pid)
            self.hosts[node.name] = Host(node.name, host.pid, self._evidence)
            for interface in node.interfaces:
                switch = self.mininet.get(interface.switch)
                cable = self.mininet.addLink(host, switch, intfName1=interface.name, addr1=interface.mac)
                # What Mininet's commands (dump, pingall, IP()) go by; the scripts give it to the interface.
                cable.intf1.ip, cable.intf1.prefixLen = interface.address, str(interface.prefix)

    def switch_port(self, interface: str) -> str:
        """The name of the switch port that a host's `interface` is plugged into."""
        host = interface.rsplit("-", 1)[0]
        cable = self.mininet.get(host).intf(interface).link
        ends = {cable.intf1.name, cable.intf2.name} - {interface}
        return str(ends.pop())

    def prompt(self) -> None:
        """Mininet's command line, until the user leaves it; nothing where standard input is closed."""
        if sys.stdin is None:
            return
        from labs.run.prompt import Prompt

        Prompt(self.mininet)


@contextmanager
def _few_descriptors() -> Iterator[None]:
    """mnexec closes every number that could be a descriptor, a million on some machines, for each host."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, _DESCRIPTORS), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _switch() -> Any:
    from mininet.node import OVSSwitch

    class OurSwitch(OVSSwitch):  # type: ignore[misc]
        """A switch of the lab's own Open vSwitch, which is known to run."""

        OVSVersion = "3.1"  # Mininet asks whether it is from before 1.10

        @classmethod
        def setup(cls) -> None:
            """Mininet's own gives a slow machine one second to answer, then exits."""

        def dpctl(self, *words: str) -> str:
            """Mininet's own does not say which OpenFlow the bridge speaks, and is refused."""
            return str(self.cmd("ovs-ofctl", "-O", _OPENFLOW, words[0], self.name, *words[1:]))

    return OurSwitch


def _controller() -> Any:
    from mininet.node import RemoteController

    class OurController(RemoteController):  # type: ignore[misc]
        """Runs as a process of the lab; whether it listens is for the lab to wait for."""

        def checkListening(self) -> None:
            pass

    return OurController("c0", ip="127.0.0.1", port=CONTROLLER_PORT)


def netem_options(options: LabOptions) -> list[str]:
    """What netem is told."""
    delay = ["delay", f"{options.delay:g}ms"] if options.delay else []
    loss = ["loss", f"{options.loss:g}%"] if options.loss else []
    return ["netem", *delay, *loss]


def impair(network: Network, client: Interface, options: LabOptions) -> None:
    """Both ends of a client's cable: what goes into either is late, or lost. Raises LabError."""
    rule = ["root", *netem_options(options)]
    network.hosts[client.node].run(["tc", "qdisc", "replace", "dev", client.name, *rule])
    command = ["tc", "qdisc", "replace", "dev", network.switch_port(client.name), *rule]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(10), check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")
