"""A lab with one fault after the other, and the doctor's findings: `... METHOD [ENGINE [FILE [FAMILY]]]`.

Stdin: faults as lines of JSON (faults.py). For each: it is typed and the doctor asked; the repairs that it
prints are carried out and it is asked again; everything is undone and it is asked again. Prints a line for
the healthy lab, then one for each fault. FILE gets the healthy state, for the unit tests.

Neighbour tables are flushed whenever the lab has changed: warm entries hide several faults for minutes.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console

from doctor import cause_table
from doctor.causes import Cause, diagnose, titles
from doctor.collect_lab import collect_lab
from doctor.path import differences
from doctor.sightings import last_seen
from doctor.state import LabState
from labs.hosts.host import Host
from labs.network.sandbox import run_in_sandbox
from labs.plan import plan_for
from labs.run.builder import Builder
from labs.run.evidence import Evidence
from labs.run.options import LabOptions
from labs.run.running import RunningLab
from labs.terminal.reporter import ConsoleReporter

_AVAILABILITY = re.compile(r"availability\.[\w.]+")
_FORGET = "ip neigh flush all; ip route flush cache"


class Examined:
    """What the doctor finds; `state` has been through JSON, as for ./inv doctor."""

    def __init__(self, running: RunningLab) -> None:
        began = time.monotonic()
        collected = collect_lab(running)
        self.state = LabState.from_dict(json.loads(json.dumps(collected.as_dict())))
        self.causes: list[Cause] = diagnose(self.state)
        self.seconds = time.monotonic() - began
        self.same = self.state == collected
        with open(os.devnull, "w") as nowhere:
            self.code = cause_table.show(self.state, self.causes, titles(), Console(file=nowhere))

    def located(self) -> list[str]:
        """Where there is no cause: the hosts where paths differ, else those where packets were seen last."""
        places = [difference.host for difference in differences(self.state)]
        sightings = filter(None, map(last_seen, self.state.troubled))
        return [] if self.causes else list(dict.fromkeys(places or (sighting.host for sighting in sightings)))

    def as_dict(self) -> dict[str, Any]:
        state = self.state
        return {
            "causes": [[cause.cause, cause.host, cause.evidence, cause.repair] for cause in self.causes],
            "code": self.code,
            "located": self.located(),
            "failures": list(map(str, (*state.failures, *state.resent))),
            "seconds": round(self.seconds, 2),
            "same": self.same,
            "unread": {host.name: host.error for host in state.hosts if host.error},
        }


def type_in(
    running: RunningLab, lines: Iterable[Sequence[str]], *, strictly: bool = True, forgets: bool = True
) -> list[str]:
    """Type (host, command) pairs and empty neighbour tables; returns what failed, or raises SystemExit."""
    failed = []
    for host, command in lines:
        where = running.evidence.scripts / host
        done = running.network.hosts[host].run(["sh", "-c", f"cd {where} && {{ {command}\n}}"], timeout=20)
        if done.exit_code != 0:
            failed.append(f"{host}: {command}: {done.exit_code}: {done.stdout}{done.stderr}")
    if failed and strictly:
        raise SystemExit("\n".join(failed))
    if forgets:
        _forget_neighbours(running.network.hosts.values())
    return failed


def _forget_neighbours(hosts: Iterable[Host]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda host: host.run(["sh", "-c", _FORGET]), hosts))


def tried(running: RunningLab, fault: dict[str, Any]) -> dict[str, Any]:
    """The findings with the fault, after the doctor's repairs, and after everything is undone."""
    type_in(running, fault["typed"], forgets=not fault["remembers"])
    broken = Examined(running)
    report = {"name": fault["name"], "expected": [fault["cause"], fault["host"]], "broken": broken.as_dict()}
    if broken.causes:
        printed = [(cause.host, cause.repair) for cause in broken.causes]
        report["complaints"] = type_in(running, printed, strictly=False, forgets=not fault["remembers"])
        report["repaired"] = Examined(running).as_dict()
    type_in(running, fault["undo"], strictly=not broken.causes)
    report["healthy"] = Examined(running).as_dict()
    return report


def recorded(state: LabState) -> str:
    """For tests/unit/doctor/states: a line for each host, without what differs between runs and machines."""
    form = state.as_dict()
    for host in form["hosts"]:
        moving = [process for process in host["processes"][2:] if _AVAILABILITY.search(process["command"])]
        host |= {"counters": {}, "neighbours": [], "scripts": {}}
        host["processes"] = [*host["processes"][:2], *moving]
    directors = [form["director_process"], *(director["process"] for director in form["pair"])]
    for process in (*directors, *(process for host in form["hosts"] for process in host["processes"])):
        first, *words = process["command"].split()
        process["command"] = Path(first).name
        module = _AVAILABILITY.search(" ".join(words))
        process["command"] += f" {module[0]}" if module else ""
    for director in (form["director"], *(director["director"] for director in form["pair"])):
        director["connections"] = director["connections"][:4]
    hosts = ",\n".join(json.dumps(host) for host in form.pop("hosts"))
    rest = json.dumps(form)[1:-1]
    return f'{{{rest},\n"hosts": [\n{hosts}\n]}}\n'


def main(method: str, engine: str = "scapy", keep: str = "", family: str = "4") -> int:
    options = LabOptions(engine=engine, scheduler="rr", family=int(family))
    plan = plan_for(method, options)
    evidence = Evidence(plan.lab)
    faults: list[dict[str, Any]] = [json.loads(line) for line in sys.stdin if line.strip()]

    def inside() -> int:
        running = Builder(plan, options, evidence, ConsoleReporter(quiet=True), captures=False).build()
        for client in running.clients:
            client.names(2)
        print(json.dumps({"name": "", "healthy": Examined(running).as_dict()}), flush=True)
        if keep:
            Path(keep).write_text(recorded(collect_lab(running)))
        for fault in faults:
            print(json.dumps(tried(running, fault)), flush=True)
        return 0

    try:
        return run_in_sandbox(inside)
    finally:
        evidence.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
