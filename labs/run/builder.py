"""Building a lab inside its sandbox: from an empty /run to a director that forwards.

Slow starters (controller, director, the servers' launcher) are started as early as possible and waited for at
the end, so that they import their modules while the rest is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

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
from realserver_setup.build import MODULES, DirectorSetup, Setup
from realserver_setup.render import Script, name_for, scripts_for


class Builder:
    """Builds one lab, step by step; `notes` are remarks on how this machine runs it."""

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
        """Without `captures` no tcpdump runs, because it would distort measurements.

        `userspace_switches`: use OVS's userspace datapath even if the kernel has one.
        `alter` edits scripts before they are written and run; None leaves one out.
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
        versions = tuple(part.version for part in plan.parts)
        self._network = Network(plan.topology, self._kernel_datapath and not userspace_switches, evidence)
        self._switch = OpenVSwitch(evidence.logs)
        self._controller = ControllerProcess(options.controller, evidence, ipv6=6 in versions)
        self._farm = ServerFarm(plan.servers, evidence, can_fail=bool(plan.pair), versions=versions)
        self._capture = Capture(evidence)
        self._directors: list[DirectorProcess] = []

    def build(self) -> RunningLab:
        self._announce()
        step = self._reporter.step
        with step("Open vSwitch"):
            self._start_daemons()
        with step("hosts, switches, cables"):
            self._network.build(self._start_directors)
        with step("set-up scripts"):
            self._set_up()
        with step("servers and captures"):
            self._start_servers()
        with step("controller and director"):
            self._wait()
        with step("rules"):
            listings = self._give_rules()
        if self._plan.pair:
            with step("checks of real servers, takeover"):
                self._make_available()
        for title, lines in listings:
            self._reporter.lines(title, lines)
        return self._running()

    def _announce(self) -> None:
        plan, options = self._plan, self._options
        servers = f"{len(plan.servers)} real server{'s' if len(plan.servers) > 1 else ''}"
        self._reporter.title(
            plan.title,
            (
                f"{servers}, scheduler {options.scheduler}, engine {options.engine}{_FAMILIES[plan.family]}",
                f"evidence in {self._evidence.folder}",
            ),
        )
        if not self._kernel_datapath:
            self._note("This kernel has no openvswitch module: switching with OVS's userspace datapath.")
        if options.impaired:
            self._note(f"Distant clients: {' '.join(netem_options(options)[1:])}, each way.")
        for tunnel in self._tunnels:
            self._note(
                f"{tunnel} is the kernel's."
                if capabilities.has_kernel_tunnel(tunnel)
                else f"{tunnel} is a user-space program: this kernel has no {MODULES[tunnel]} module."
            )

    @property
    def _tunnels(self) -> list[str]:
        """The tunnel devices of the real servers."""
        return [part.tunnel for part in self._plan.parts if part.tunnel]

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._reporter.note(text)

    def _start_daemons(self) -> None:
        if any(part.version == 6 for part in self._plan.parts):
            _NO_IPV6.write_text("1")  # otherwise the switches' ends of cables would send packets too
        self._controller.start()
        self._switch.start_database()
        self._farm.prepare()
        self._switch.start_switch()
        self._switch.wait()

    def _start_directors(self) -> None:
        """Write all scripts, set up the directors and start them; then wait until the controller listens.

        A director imports its modules while the switches start.
        """
        self._directors = list(self._processes())
        self._write(
            *(script for director in self._directors for script in director.scripts), *self._rendered()
        )
        for director, setup in zip(self._directors, self._director_setups(), strict=True):
            for part in (setup, setup.second):
                if part is not None:
                    apply(self._script_of(part), director.host)
            director.start(self._scripts[director.script.name])
        self._controller.wait()

    def _processes(self) -> Iterator[DirectorProcess]:
        plan, hosts = self._plan, self._network.hosts
        if not plan.pair:
            host = hosts[self._director_setups()[0].name]
            yield DirectorProcess(host, plan.method, self._options, self._evidence)
            return
        from labs.run.paired_director import PairedDirector  # late: most labs have one director

        for setup in plan.pair:
            yield PairedDirector(setup, self._network, self._options, self._evidence, self._scripts)

    def _set_up(self) -> None:
        """Run the scripts of all other nodes; in a lab with both IP versions, those for IPv6 last."""
        for tunnel in self._tunnels:
            if not capabilities.has_kernel_tunnel(tunnel):
                self._farm.start_tunnels(self._network.hosts, tunnel)
        if self._options.impaired:
            for client in self._plan.nodes(Role.CLIENT):
                impair(self._network, client.interfaces[0], self._options)
        for part in self._plan.parts:
            others = (setup for setup in part.setups if not isinstance(setup, DirectorSetup))
            apply_all((self._script_of(setup), self._network.hosts[setup.name]) for setup in others)

    def _rendered(self) -> Iterator[Script]:
        for part in self._plan.parts:
            for setup in part.setups:
                yield from scripts_for(setup).values()

    def _write(self, *scripts: Script) -> None:
        for script in filter(None, map(self._alter, scripts)):
            self._scripts[script.name] = script
            path = self._evidence.scripts / script.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(script.text)
            path.chmod(0o755 if script.interpreter else 0o644)

    def _script_of(self, setup: Setup) -> Script:
        return self._scripts[name_for(setup, self._options.dialect)]

    def _director_setups(self) -> list[DirectorSetup]:
        return [setup for setup in self._plan.setups if isinstance(setup, DirectorSetup)]

    def _start_servers(self) -> None:
        if self._captures:
            networks = [pcapng.Network(part.topology, part.vip, part.tunnel) for part in self._plan.parts]
            pcapng.describe(self._evidence.pcaps, self._plan.title, networks)
        for node in self._plan.topology.nodes if self._captures else ():
            self._capture.start(self._network.hosts[node.name], self._captured(node))
        self._farm.start(self._network.hosts)
        self._capture.wait()

    def _captured(self, node: Node) -> dict[str, str]:
        names = {interface.name: interface.name for interface in node.interfaces}
        if node.role is Role.SERVER:
            names |= {f"{node.name}-{tunnel}": tunnel for tunnel in self._tunnels}
        return names

    def _wait(self) -> None:
        self._controller.client.wait_for_switches(self._plan.topology.switches)
        framework, version = self._controller.client.framework()
        if self._options.controller == "auto" and framework != "ryu":
            self._note(f"Ryu does not start on this Python: the controller runs on {framework} {version}.")
        for director in self._directors:
            director.wait()

    def _give_rules(self) -> list[tuple[str, list[str]]]:
        """Run the scripts with the rules; returns the commands for each director, and the resulting list."""
        for director in self._directors:
            script = self._scripts[f"{director.host.name}/rules.sh"]
            apply(script, director.host)
        given = [line for line in script.text.splitlines() if line.startswith(("ippfvsadm", "-A"))]
        which = "each" if len(self._directors) > 1 else "the"
        return [
            (f"Commands given to {which} director", given),
            ("ippfvsadm -L", director.host.run(["ippfvsadm", "-L"]).stdout.splitlines()),
        ]

    def _make_available(self) -> None:
        """Start the checks of real servers and the takeover; the first director becomes the active one."""
        from labs.run.paired_director import PairedDirector

        first, *others = (director for director in self._directors if isinstance(director, PairedDirector))
        first.make_available()
        first.wait_for_vip()
        for other in others:
            other.make_available()

    def _running(self) -> RunningLab:
        running, *second = (self._part(part) for part in self._plan.parts)
        running.second = second[0] if second else None
        return running

    def _part(self, part: Plan) -> RunningLab:
        """The lab as the checks of one IP version use it."""
        hosts = self._network.hosts
        clients = tuple(
            Client(hosts[node.name], self._farm.scratch / node.name, part.vip)
            for node in part.nodes(Role.CLIENT)
        )
        return RunningLab(
            plan=part,
            options=self._options,
            network=self._network,
            clients=clients,
            directors=tuple(self._directors),
            controller=self._controller.client,
            farm=self._farm,
            evidence=self._evidence,
        )


_NO_IPV6 = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")  # the sandbox's, not the hosts'
_FAMILIES = {4: "", 6: ", IPv6", 46: ", IPv4 and IPv6"}  # in the second line of a lab's output
