"""A lab with one fault after the other, and the doctor's findings: `... METHOD [ENGINE [FILE]]`.

Stdin: faults as lines of JSON, {"name", "break": [[HOST, COMMAND]...], "mend": [[HOST, COMMAND]...]}. Prints
a line for the healthy lab after traffic, then two for each fault: broken, and mended again. FILE gets the
healthy state, for the unit tests.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from doctor.causes import diagnose
from doctor.collect_lab import collect_lab
from doctor.state import LabState
from labs.network.sandbox import run_in_sandbox
from labs.plan import plan_for
from labs.run.build import Builder
from labs.run.evidence import Evidence
from labs.run.options import LabOptions
from labs.run.running import RunningLab
from labs.terminal.reporter import ConsoleReporter


def tell(name: str, running: RunningLab) -> None:
    for client in running.clients:
        client.names(3, "--max-time", "1")
    began = time.monotonic()
    state = collect_lab(running)
    took = time.monotonic() - began
    again = LabState.from_dict(json.loads(json.dumps(state.as_dict())))
    told = {
        "name": name,
        "seconds": round(took, 2),
        "same": again == state,
        "errors": {host.name: host.error for host in state.hosts if host.error},
        "director": state.director.error,
        "causes": [[one.cause, one.host, one.evidence, one.repair] for one in diagnose(again)],
    }
    print(json.dumps(told), flush=True)


def recorded(state: LabState) -> str:
    """For tests/unit/doctor/states: a line for each host, without what differs between runs."""
    form = state.as_dict()
    for host in form["hosts"]:
        host |= {"counters": {}, "neighbours": [], "scripts": {}}
    form["director"]["connections"] = form["director"]["connections"][:4]
    hosts = ",\n".join(json.dumps(host) for host in form.pop("hosts"))
    rest = json.dumps(form)[1:-1]
    return f'{{{rest},\n"hosts": [\n{hosts}\n]}}\n'


def type_in(running: RunningLab, commands: list[list[str]]) -> None:
    for host, command in commands:
        where = running.evidence.scripts / host
        done = running.network.hosts[host].run(["sh", "-c", f"cd {where} && {command}"], timeout=10)
        if done.exit_code != 0:
            raise SystemExit(f"{host}: {command}: {done.exit_code}: {done.stdout}{done.stderr}")


def main(method: str, engine: str = "scapy", keep: str = "") -> int:
    options = LabOptions(engine=engine, scheduler="rr")
    plan = plan_for(method, options)
    evidence = Evidence(plan.lab)
    faults: list[dict[str, Any]] = [json.loads(line) for line in sys.stdin if line.strip()]

    def inside() -> int:
        running = Builder(plan, options, evidence, ConsoleReporter(quiet=True), captures=False).build()
        tell("healthy", running)
        if keep:
            Path(keep).write_text(recorded(collect_lab(running)))
        for fault in faults:
            type_in(running, fault["break"])
            tell(f"{fault['name']} broken", running)
            type_in(running, fault["mend"])
            tell(f"{fault['name']} mended", running)
        return 0

    try:
        return run_in_sandbox(inside)
    finally:
        evidence.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
