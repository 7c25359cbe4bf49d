"""A director of lab-ha, with checks of real servers and a program that moves the VIP on failure.

    director's process    lvs-director, started by start.sh, with the rules of rules.sh
    monitor.sh            lvs-monitor, with the virtual servers of keepalived.conf
    takeover.sh           the program that `--takeover` names (takeover.py)

Each director has its own /run, so that the tools find its control socket where they expect it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from labs.errors import BuildFailed, LabError
from labs.hosts.environment import DIRECTOR, HOME
from labs.hosts.host import Daemon, Host
from labs.network.emulation import Network
from labs.run.evidence import Evidence
from labs.run.options import LabOptions
from labs.run.processes import DirectorProcess
from labs.run.takeover import CHECKS, CONFIGURATION, NAME, TAKEOVERS
from labs.wait import patient
from realserver_setup.apply import apply
from realserver_setup.availability import AvailabilitySetup
from realserver_setup.render import Script, configuration, program_for

_OWN_RUN = "/run/hosts"
_KERNEL = "ipvs"  # the engine whose rules and sync daemons are the kernel's
_END = 10  # seconds that a program may take to end
_DROP_ALL = ("root", "pfifo", "limit", "0")  # a queue that holds nothing


class PairedDirector(DirectorProcess):
    """`scripts_of_lab` are all scripts as written: rendered, and perhaps edited by an exercise."""

    def __init__(
        self,
        setup: AvailabilitySetup,
        network: Network,
        options: LabOptions,
        evidence: Evidence,
        scripts_of_lab: Mapping[str, Script],
    ) -> None:
        self.setup = setup
        self.takeover = TAKEOVERS[setup.takeover]
        self._evidence = evidence
        self._dialect = options.dialect
        self._engine = options.engine
        self._written = scripts_of_lab
        self._programs: dict[str, Daemon] = {}
        self.is_down = False  # crashed or stopped
        self._counted: Counter[tuple[str, int]] = Counter()  # connections of earlier processes
        host = network.hosts[setup.name]
        super().__init__(host, setup.method, options, evidence, _with_own_run(host))

    # ---- its scripts ----

    @property
    def scripts(self) -> tuple[Script, ...]:
        return (self.script, *self._configurations(), *self._starters())

    def _configurations(self) -> Iterator[Script]:
        for name in (CONFIGURATION, *self.takeover.files):
            text = configuration(f"{name}.j2", host=self.setup)
            yield Script(f"{self.setup.name}/{name}", text, interpreter="")

    def _starters(self) -> Iterator[Script]:
        name, events = self.setup.name, ("--events", str(self.events))
        folder = self._evidence.scripts / name
        yield program_for(f"{name}/monitor.sh", folder, (*CHECKS, *events))
        command = tuple(name if word == NAME else word for word in self.takeover.command)
        command = (*command, *(self.takeover.resync if self.gets_all else ()), *events)
        yield program_for(f"{name}/takeover.sh", folder, command)

    @property
    def gets_all(self) -> bool:
        """Whether it gets all connections before it takes over again; IPVS and heartbeat cannot do that."""
        return self.setup.sync and bool(self.takeover.resync) and self._engine != _KERNEL

    # ---- starting and ending it ----

    def make_available(self) -> None:
        """Start checks and takeover, once the director has its rules."""
        for name in ("monitor", "takeover"):
            self._start_program(name)
        self.is_down = False

    def _start_program(self, name: str) -> None:
        script = self._written[f"{self.setup.name}/{name}.sh"]
        log = self._evidence.log(f"{name}-{self.setup.name}")
        process = self.host.start([script.interpreter, "-c", script.text, script.name], log)
        self._programs[name] = Daemon(script.name, process, log)

    def end_takeover(self) -> None:
        """End the takeover program, so that it releases the VIP; also one that was started by hand."""
        self.host.run(["pkill", "-f", rf"lvs-(vrrp|heartbeat).*events-{self.host.name}\."])
        _end(self._programs["takeover"])

    def restart_takeover(self) -> None:
        """Restart the takeover program, with its current configuration."""
        self.end_takeover()
        self._start_program("takeover")

    def boot(self) -> None:
        """Come back after `crash` or `stop`: start everything in the order of a booting host."""
        script = self._written
        apply(script[f"{self.setup.name}/{self._dialect}/director.sh"], self.host)
        Path(self.socket).unlink(missing_ok=True)
        if self._engine == _KERNEL:
            self._empty_kernel()
        self.start(script[self.script.name])
        self.wait()
        apply(script[f"{self.setup.name}/rules.sh"], self.host)
        self.make_available()

    def _empty_kernel(self) -> None:
        """Remove rules and sync daemons, as after a boot: the crash killed only the host's processes."""
        from director.engines.ipvs.prerequisites import program  # needed with this engine only

        for command in ("--clear", "--stop-daemon master", "--stop-daemon backup"):
            self.host.run([program() or "ipvsadm", *command.split()])

    def wait_for_vip(self) -> None:
        """Wait until it owns the VIP. Raises BuildFailed if it does not, at once if its programs end."""
        seconds = self.setup.interval * self.takeover.silence + self.setup.preempt_delay
        for daemon in self._programs.values():
            if ended := daemon.ended():
                raise BuildFailed(ended)
        self._programs["takeover"].wait(self.owns_vip, f"{self.setup.name} to own the VIP", seconds)

    def crash(self) -> None:
        """Fail as in a power failure: all processes are killed, and the interfaces are down."""
        self._count()
        self.is_down = True
        self._signal(signal.SIGKILL)
        interfaces = (self.setup.outside.name, self.setup.pair.name)
        down = "; ".join(f"ip link set {name} down" for name in interfaces)
        forget = "; ".join(f"tc qdisc del dev {name} clsact 2> /dev/null" for name in interfaces)
        self.host.run(["sh", "-c", f"{down}; {forget}; :"])
        for process in self._processes():
            process.wait()

    def stop(self) -> None:
        """End in order, after releasing the VIP."""
        self._count()
        self.is_down = True
        for daemon in (self._programs["takeover"], self._programs["monitor"], self._running()):
            _end(daemon)

    def freeze(self) -> None:
        """Stop all its programs (SIGSTOP), as on a host that hangs; its kernel keeps running."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _processes(self) -> list[subprocess.Popen[str]]:
        return [daemon.process for daemon in (*self._programs.values(), self._running())]

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes():
            with suppress(ProcessLookupError):  # it has ended
                os.killpg(process.pid, number)

    def connections_by_server(self) -> dict[tuple[str, int], int]:
        """(RIP, port) -> number of connections since the lab began, including those of earlier processes."""
        now = {} if self.is_down else super().connections_by_server()
        return dict(self._counted + Counter(now))

    def _count(self) -> None:
        self._counted = Counter(self.connections_by_server())

    # ---- its network ----

    def owns_vip(self) -> bool:
        shown = self.host.run(["ip", "-o", "addr", "show", "dev", self.setup.outside.name]).stdout
        return not self.is_down and f" {self.setup.vip}/" in shown

    def mute(self, interface: str) -> None:
        """Cut a cable in one direction: the director still receives, but nothing that it sends leaves."""
        self.host.run(["tc", "qdisc", "replace", "dev", interface, *_DROP_ALL])

    def unmute(self, interface: str) -> None:
        self.host.run(["tc", "qdisc", "del", "dev", interface, "root"])


def _end(daemon: Daemon) -> None:
    """End a program with SIGTERM. Raises LabError if it does not end."""
    daemon.process.terminate()
    try:
        daemon.process.wait(patient(_END))
    except subprocess.TimeoutExpired:
        raise LabError(f"{daemon.name} did not end within {patient(_END):.0f} s: see {daemon.log}.") from None


def _with_own_run(host: Host) -> str:
    """Give a host its own /run; returns the path at which the lab finds its director's control socket."""
    own = Path(_OWN_RUN, host.name)
    (own / HOME.relative_to("/run")).mkdir(parents=True, exist_ok=True)
    done = host.run(["mount", "--bind", str(own), "/run"])
    if done.exit_code:
        raise BuildFailed(f"Can't mount a separate /run for {host.name}: {done.stderr.strip()}")
    return str(own / Path(DIRECTOR).name)
