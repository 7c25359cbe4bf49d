"""lab-ha with one fault after the other, and what the doctor finds: `... NAME,NAME... [FILE [FAMILY]]`.

For each fault: it is made and the doctor asked until it names a cause; the repairs are typed as printed, and
it is asked until it finds nothing. Prints a line of JSON for each. FILE gets the healthy state, for the unit
tests.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doctor.collect_lab import collect_lab
from doctor.queries import checks_of, takeover_of
from doctor.state import HostState, Process
from labs.network.sandbox import run_in_sandbox
from labs.plan import plan_for
from labs.run.builder import Builder
from labs.run.evidence import Evidence
from labs.run.options import HaOptions
from labs.run.paired_director import PairedDirector
from labs.run.running import RunningLab
from labs.run.takeover import RELOAD_CHECKS
from labs.terminal.reporter import ConsoleReporter
from labs.wait import poll_until
from tests.labs.doctor_trial import Examined, recorded

WAIT = 30  # seconds until something is considered not to happen
NO_ADVERTISEMENTS = """\
nft add table inet f
nft add chain inet f c '{ type filter hook input priority 0; }'
nft add rule inet f c meta l4proto vrrp drop
"""
ANOTHER = {4: "203.0.113.9/32", 6: "2001:db8:cb00:71::9/128"}
OTHER_DAEMON = (
    "ipvsadm --stop-daemon backup && ipvsadm --start-daemon backup --mcast-interface d2-eth0 --syncid 52"
)


def host_of(examined: Examined, name: str) -> HostState:
    return next(host for host in examined.state.hosts if host.name == name)


class Trial:
    def __init__(self, running: RunningLab) -> None:
        self._running = running
        self._first, self._second = (
            director for director in running.directors if isinstance(director, PairedDirector)
        )

    def _type(self, host: str, commands: str) -> str:
        """In the folder of the host's scripts; returns what failed."""
        where = self._running.evidence.scripts / host
        done = self._running.network.hosts[host].run(["sh", "-c", f"cd {where} && {{ {commands}\n}}"])
        return "" if done.exit_code == 0 else f"{host}: {commands}: {done.stdout}{done.stderr}"

    # ---- the faults: each returns when it has had its effect ----

    def two_masters(self) -> None:
        self._type("d2", NO_ADVERTISEMENTS)
        poll_until(self._second.owns_vip, bool, WAIT)

    def takeover_differs(self) -> None:
        """One more address on d2, in its file and at work."""
        more = ANOTHER[self._running.plan.version]
        self._type("d2", rf"sed -i 's|^ *virtual_ipaddress {{|&\n        {more}|' keepalived.conf")
        self._second.restart_takeover()
        poll_until(self._second.owns_vip, bool, WAIT)

    def sync_differs(self) -> None:
        typed = lambda: self._type("d2", OTHER_DAEMON)  # noqa: E731 (once it is a backup)
        poll_until(typed, lambda failed: not failed, WAIT)

    def takeover_down(self) -> None:
        self._end_on_second(takeover_of)

    def checks_down(self) -> None:
        self._end_on_second(checks_of)

    def _end_on_second(self, programs: Callable[[HostState], list[Process]]) -> None:
        def find() -> list[Process]:
            return programs(host_of(Examined(self._running), "d2"))

        for process in find():
            os.kill(process.pid, signal.SIGTERM)
        poll_until(find, lambda left: not left, WAIT)

    def garp_lost(self) -> None:
        """As after a takeover of which the router has not heard."""
        mac = self._running.plan.topology.directors[1].interfaces[0].mac
        self._type("r0", f"ip neigh replace {self._running.plan.vip} lladdr {mac} dev r0-eth1 nud stale")

    def check_wrong(self) -> None:
        for director in (self._first, self._second):
            self._type(director.host.name, "sed -i 's|path /name|path /nowhere|' keepalived.conf")
            self._type(director.host.name, RELOAD_CHECKS.format(director=director.host.name))
        poll_until(self._serves_nothing, bool, WAIT)

    def _serves_nothing(self) -> bool:
        http = [service for service in self._first.ask("list")["services"] if service["port"] == 80]
        return not any(service["servers"] for service in http)

    # ---- what the doctor makes of them ----

    def tried(self, name: str) -> dict[str, Any]:
        getattr(self, name)()
        broken = Examined(self._running)
        repairs = [(cause.host, cause.repair) for cause in broken.causes]
        complaints = list(filter(None, (self._type(*repair) for repair in repairs)))
        repaired = self.healthy()
        return {
            "name": name,
            "broken": broken.as_dict(),
            "complaints": complaints,
            "repaired": repaired.as_dict(),
        }

    def healthy(self) -> Examined:
        """What the doctor finds once it finds nothing, or time is up."""
        examine: Callable[[], Examined] = lambda: Examined(self._running)  # noqa: E731
        return poll_until(examine, lambda examined: examined.code == 0, WAIT)


FAULTS = (
    *("two_masters", "takeover_differs", "sync_differs", "takeover_down", "checks_down", "garp_lost"),
    "check_wrong",
)


def main(names: str, keep: str = "", family: str = "4") -> int:
    options = HaOptions(scheduler="rr", advert_interval=300, family=int(family))
    plan = plan_for("ha", options)
    evidence = Evidence(plan.lab)

    def inside() -> int:
        running = Builder(plan, options, evidence, ConsoleReporter(quiet=True), captures=False).build()
        trial = Trial(running)
        print(json.dumps({"name": "", "repaired": trial.healthy().as_dict()}), flush=True)
        if keep:
            Path(keep).write_text(recorded(collect_lab(running)))
        for name in names.split(","):
            print(json.dumps(trial.tried(name)), flush=True)
        return 0

    try:
        return run_in_sandbox(inside)
    finally:
        evidence.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
