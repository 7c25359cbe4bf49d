"""A topology, built with Mininet: hosts, Open vSwitch bridges and the cables between them.

Mininet only connects things. Addresses and routes come from the set-up scripts, where students read them.
Mininet's clean-up is not used: when the sandbox ends, everything ends with it. Cables of distant clients get
delay and loss from the kernel's netem (tc-netem(8)).

The lab's own Open vSwitch, database and switch daemon, runs inside the sandbox. Its files are in the
private /run, its logs in the run's folder. The machine's own Open vSwitch is not used.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labs.errors import BuildFailed, LabError
from labs.hosts.environment import reset_settings
from labs.hosts.host import Host
from labs.network.topology import Interface, Topology
from labs.run.evidence import Evidence
from labs.run.options import LabOptions
from labs.wait import patient, wait_for

CONTROLLER_PORT = 6653
_OPENFLOW = "OpenFlow13"
_DESCRIPTORS = 2048  # enough for the shells of 200 hosts, two each, and open files


class Network:
    """The emulated network: `hosts` by name once `build` has run; `mininet` is for Mininet's prompt."""

    def __init__(self, topology: Topology, kernel_datapath: bool, evidence: Evidence) -> None:
        self._topology = topology
        self._datapath = "kernel" if kernel_datapath else "user"
        self._evidence = evidence
        self.mininet: Any = None
        self.hosts: dict[str, Host] = {}

    def build(self, controller_listens: Callable[[], None]) -> None:
        """Create hosts, bridges and cables, and connect the bridges to the controller.

        `controller_listens` returns once the controller listens: a bridge that is refused retries only after
        a second.
        """
        from mininet.log import setLogLevel  # takes 0.1 s: imported only to build a network
        from mininet.net import Mininet

        setLogLevel("error")
        self.mininet = Mininet(topo=None, controller=None, build=False)
        self._add_switches()
        with _few_descriptors():
            self._add_hosts()
        self.mininet.addController(remote_controller())
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
                batch=True,  # a shell would truncate the command for a hundred ports at 4096 characters
            )

    def _add_hosts(self) -> None:
        for node in self._topology.nodes:
            host = self.mininet.addHost(node.name, ip=None)
            reset_settings(host.pid)
            self.hosts[node.name] = Host(node.name, host.pid, self._evidence)
            for interface in node.interfaces:
                switch = self.mininet.get(interface.switch)
                cable = self.mininet.addLink(host, switch, intfName1=interface.name, addr1=interface.mac)
                # For Mininet's commands (dump, pingall, IP()); the scripts configure the interface.
                cable.intf1.ip, cable.intf1.prefixLen = interface.address, str(interface.prefix)
                if ":" in interface.address:  # Mininet would look for an IPv4 address, and forget this one
                    cable.intf1.updateIP = cable.intf1.IP

    def switch_port(self, interface: str) -> str:
        """The name of the switch port at the other end of a host's `interface`."""
        host = interface.rsplit("-", 1)[0]
        cable = self.mininet.get(host).intf(interface).link
        ends = {cable.intf1.name, cable.intf2.name} - {interface}
        return str(ends.pop())

    def set_cable(self, interface: str, *, up: bool) -> None:
        """Set the switch port of a host's `interface` down or up, as if by its cable. Raises LabError."""
        _run(["ip", "link", "set", self.switch_port(interface), "up" if up else "down"])

    def prompt(self) -> None:
        """Run Mininet's prompt until the user leaves it, unless standard input is closed."""
        if sys.stdin is None:
            return
        from labs.run.prompt import Prompt

        Prompt(self.mininet)


@contextmanager
def _few_descriptors() -> Iterator[None]:
    """Lower the limit of descriptors meanwhile: mnexec closes every possible one, sometimes a million."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, _DESCRIPTORS), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _switch() -> Any:
    from mininet.node import OVSSwitch

    class OurSwitch(OVSSwitch):  # type: ignore[misc]
        """A switch of the lab's own Open vSwitch, which is already running."""

        OVSVersion = "3.1"  # Mininet checks for versions before 1.10

        @classmethod
        def setup(cls) -> None:
            """Skip Mininet's check, which exits if a slow machine does not answer within a second."""

        def dpctl(self, *words: str) -> str:
            """Name the OpenFlow version, without which the bridge refuses Mininet's own command."""
            return str(self.cmd("ovs-ofctl", "-O", _OPENFLOW, words[0], self.name, *words[1:]))

    return OurSwitch


def remote_controller() -> Any:
    """Mininet's own would probe the port with telnet, and fail on OpenFlow's bytes, which are not text."""
    from mininet.node import RemoteController

    class OurController(RemoteController):  # type: ignore[misc]
        """The lab starts the controller and waits for it, so Mininet need not check."""

        def checkListening(self) -> None:
            pass

    return OurController("c0", ip="127.0.0.1", port=CONTROLLER_PORT)


def netem_options(options: LabOptions) -> list[str]:
    """The arguments of netem."""
    delay = ["delay", f"{options.delay:g}ms"] if options.delay else []
    loss = ["loss", f"{options.loss:g}%"] if options.loss else []
    return ["netem", *delay, *loss]


def impair(network: Network, client: Interface, options: LabOptions) -> None:
    """Delay or lose packets at both ends of a client's cable. Raises LabError."""
    rule = ["root", *netem_options(options)]
    network.hosts[client.node].run(["tc", "qdisc", "replace", "dev", client.name, *rule])
    _run(["tc", "qdisc", "replace", "dev", network.switch_port(client.name), *rule])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(10), check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")


_RUN = "/run/openvswitch"
_DATABASE = f"{_RUN}/conf.db"
_SOCKET = f"{_RUN}/db.sock"
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class OpenVSwitch:
    """The two daemons, children of the caller; they end with the sandbox."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start_database(self) -> None:
        """Create an empty database and start its server, without waiting for it."""
        os.makedirs(_RUN, exist_ok=True)
        os.environ.update({f"OVS_{name}DIR": _RUN for name in ("RUN", "DB", "LOG", "SYSCONF")})
        _command("ovsdb-tool", "create", _DATABASE, _SCHEMA)
        self._daemon("ovsdb-server", _DATABASE, f"--remote=punix:{_SOCKET}")

    def start_switch(self) -> None:
        """Start the switch daemon once the database has its socket."""
        wait_for(lambda: Path(_SOCKET).exists(), 60, "ovsdb-server's socket", BuildFailed)
        _command("ovs-vsctl", "--no-wait", "init")
        self._daemon("ovs-vswitchd", f"unix:{_SOCKET}")

    def wait(self) -> None:
        wait_for(
            lambda: any(Path(_RUN).glob("ovs-vswitchd.*.ctl")),
            60,
            "ovs-vswitchd's control socket",
            BuildFailed,
        )

    def _daemon(self, program: str, *arguments: str) -> None:
        log = (self._logs / f"{program}.log").open("wb")
        command = [program, *arguments, "--no-chdir", f"--unixctl={_RUN}/{program}.{os.getpid()}.ctl"]
        self._daemons.append(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the lab's prompt must not reach it
            )
        )


def _command(*arguments: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=patient(10))
    if done.returncode != 0:
        raise BuildFailed(f"`{' '.join(arguments)}` failed with {done.returncode}: {done.stderr.strip()}")
