"""A lab that changes its scheduler after each check: `... METHOD REPORT SCHEDULER...`, for test_labs.py."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from labs.checks import CheckFunction
from labs.checks.result import Check
from labs.checks.scheduling import as_scheduled
from labs.errors import LabError
from labs.network import addresses
from labs.plan import plan_for
from labs.run.lab import run
from labs.run.options import LabOptions
from labs.run.running import RunningLab


def changed_to(scheduler: str) -> CheckFunction:
    """How connections are distributed from now on."""

    def check(running: RunningLab) -> Check:
        director = running.network.hosts[running.plan.topology.director.name]
        done = director.run(["ipvsadm", "-E", "-t", f"{addresses.VIP}:80", "-s", scheduler])
        if done.exit_code:
            raise LabError(done.stderr.strip())
        running.options = replace(running.options, scheduler=scheduler)
        return as_scheduled(running)

    return check


def main(method: str, report: str, first: str, *others: str) -> int:
    options = LabOptions(scheduler=first)
    chosen = [as_scheduled, *map(changed_to, others)]
    return run(plan_for(method, options), options, Path(report), chosen=chosen)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
