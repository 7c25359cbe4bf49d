"""Building a lab inside its sandbox: from an empty /run to a director that forwards.

Whatever takes long to start (controller, director, the launcher of the servers) is started as early as
possible and waited for at the end, so it imports its modules while the rest is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from director.core.real_server import Method
from labs.hosts.client import Client
from labs.hosts.server_farm import ServerFarm
from labs.machine import capabilities
from labs.network.emulation import Network, OpenVSwitch, impair, netem_options
from labs.network.topology import Node, Role
from labs.plan import Plan
from labs.run import pcapng
from labs.run.evidence import Evidence
from labs.run.options import LabOptions
from labs.run.processes import Capture, ControllerProcess, DirectorProcess
from labs.run.running import RunningLab
from labs.terminal.reporter import ConsoleReporter
from realserver_setup.apply import apply, apply_all
from realserver_setup.build import TUNNEL, DirectorSetup, Setup
from realserver_setup.render import Script, name_for, scripts_for


class Builder:
    """Builds one lab, step by step; `notes` are remarks on how this machine differs from others."""

    def __init__(
        self,
        plan: Plan,
        options: LabOptions,
        evidence: Evidence,
        reporter: ConsoleReporter,
        *,
        captures: bool = True,
        userspace_switches: bool = False,
        alter: Callable[[Script], Script | None] | None = None,
    ) -> None:
        """Without `captures` no tcpdump runs, which would distort measurements.

        `userspace_switches` keeps switching out of the kernel even if it could switch.
        `alter` edits scripts before they are written and run, or leaves some out (None).
        """
        self._plan = plan
        self._captures = captures
        self._alter = alter or (lambda script: script)
        self._scripts: dict[str, Script] = {}
        self._options = options
        self._evidence = evidence
        self._reporter = reporter
        self.notes: list[str] = []
        self._kernel_datapath = capabilities.has_kernel_datapath()
        self._kernel_tunl0 = capabilities.has_kernel_tunl0()
        self._network = Network(plan.topology, self._kernel_datapath and not userspace_switches, evidence)
        self._switch = OpenVSwitch(evidence.logs)
        self._controller = ControllerProcess(options.controller, evidence)
        self._farm = ServerFarm(plan.servers, evidence)
        self._capture = Capture(evidence)
        self._director: DirectorProcess | None = None

    def build(self) -> RunningLab:
        self._announce()
        step = self._reporter.step
        with step("Open vSwitch"):
            self._start_daemons()
        with step("hosts, switches, cables"):
            self._network.build(self._start_director)
        with step("set-up scripts"):
            self._set_up()
        with step("servers and captures"):
            self._start_servers()
        with step("controller and director"):
            director = self._wait()
        with step("rules"):
            listings = self._give_rules()
        for title, lines in listings:
            self._reporter.lines(title, lines)
        return self._running(director)

    def _announce(self) -> None:
        plan, options = self._plan, self._options
        servers = f"{len(plan.servers)} real server{'s' if len(plan.servers) > 1 else ''}"
        self._reporter.title(
            plan.title,
            (
                f"{servers}, scheduler {options.scheduler}, engine {options.engine}",
                f"evidence in {self._evidence.folder}",
            ),
        )
        if not self._kernel_datapath:
            self._note("This kernel has no openvswitch module: switching with OVS's userspace datapath.")
        if options.impaired:
            self._note(f"Distant clients: {' '.join(netem_options(options)[1:])}, each way.")
        if plan.method is Method.TUN:
            self._note(
                "tunl0 is the kernel's."
                if self._kernel_tunl0
                else "tunl0 is a user-space program: this kernel has no ipip module."
            )

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._reporter.note(text)

    def _start_daemons(self) -> None:
        self._controller.start()
        self._switch.start_database()
        self._farm.prepare()
        self._switch.start_switch()
        self._switch.wait()

    def _start_director(self) -> None:
        """Write all scripts, set up the director and start it; then wait until the controller listens.

        The director imports its modules while the switches start.
        """
        director_setup = self._director_setup()
        host = self._network.hosts[director_setup.name]
        director = DirectorProcess(host, self._plan.method, self._options, self._evidence)
        self._write(director.script, *self._rendered())
        apply(self._script_of(director_setup), host)
        director.start(self._scripts[director.script.name])
        self._director = director
        self._controller.wait()

    def _set_up(self) -> None:
        """Run the scripts of all other nodes."""
        if self._plan.method is Method.TUN and not self._kernel_tunl0:
            self._farm.start_tunnels(self._network.hosts)
        if self._options.impaired:
            for client in self._plan.nodes(Role.CLIENT):
                impair(self._network, client.interfaces[0], self._options)
        director_setup = self._director_setup()
        others = (setup for setup in self._plan.setups if setup is not director_setup)
        apply_all((self._script_of(setup), self._network.hosts[setup.name]) for setup in others)

    def _rendered(self) -> Iterator[Script]:
        for setup in self._plan.setups:
            yield from scripts_for(setup).values()

    def _write(self, *scripts: Script) -> None:
        for script in filter(None, map(self._alter, scripts)):
            self._scripts[script.name] = script
            path = self._evidence.scripts / script.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(script.text)
            path.chmod(0o755)

    def _script_of(self, setup: Setup) -> Script:
        return self._scripts[name_for(setup, self._options.dialect)]

    def _director_setup(self) -> DirectorSetup:
        return next(setup for setup in self._plan.setups if isinstance(setup, DirectorSetup))

    def _start_servers(self) -> None:
        if self._captures:
            plan = self._plan
            tunnel = TUNNEL if plan.method is Method.TUN else ""
            pcapng.describe(self._evidence.pcaps, plan.title, plan.topology, plan.vip, tunnel)
        for node in self._plan.topology.nodes if self._captures else ():
            self._capture.start(self._network.hosts[node.name], self._captured(node))
        self._farm.start(self._network.hosts)
        self._capture.wait()

    def _captured(self, node: Node) -> dict[str, str]:
        names = {interface.name: interface.name for interface in node.interfaces}
        if node.role is Role.SERVER and self._plan.method is Method.TUN:
            names[f"{node.name}-{TUNNEL}"] = TUNNEL
        return names

    def _wait(self) -> DirectorProcess:
        assert self._director is not None
        self._controller.client.wait_for_switches(self._plan.topology.switches)
        framework, version = self._controller.client.framework()
        if self._options.controller == "auto" and framework != "ryu":
            self._note(f"Ryu does not start on this Python: the controller runs on {framework} {version}.")
        self._director.wait()
        return self._director

    def _give_rules(self) -> list[tuple[str, list[str]]]:
        """Run the director's script of rules; returns its commands, and the rules as they are listed then."""
        setup = self._director_setup()
        host = self._network.hosts[setup.name]
        script = self._scripts[f"{setup.name}/rules.sh"]
        apply(script, host)
        given = [line for line in script.text.splitlines() if line.startswith(("ippfvsadm", "-A"))]
        return [
            ("Commands given to the director", given),
            ("ippfvsadm -L", host.run(["ippfvsadm", "-L"]).stdout.splitlines()),
        ]

    def _running(self, director: DirectorProcess) -> RunningLab:
        hosts = self._network.hosts
        clients = tuple(
            Client(hosts[node.name], self._farm.scratch / node.name, self._plan.vip)
            for node in self._plan.nodes(Role.CLIENT)
        )
        return RunningLab(
            plan=self._plan,
            options=self._options,
            network=self._network,
            clients=clients,
            director=director,
            controller=self._controller.client,
            farm=self._farm,
            evidence=self._evidence,
        )
