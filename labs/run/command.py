"""From the words of a command line to a lab: what tasks.py calls."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from director.control.channel import Message
from labs.errors import BadRequest
from labs.plan import Plan
from labs.run.options import LabOptions
from labs.run.running import RunningLab
from labs.wait import patient

_WHOLE = re.compile(r"-?[0-9]{1,9}")


def plan_for(method: str, options: LabOptions) -> Plan:
    """The plan of labs/vs_METHOD."""
    plan: Plan = importlib.import_module(f"labs.vs_{method}.plan").plan(options)
    return plan


def run_lab(
    method: str,
    wanted: Mapping[str, object],
    answers: Mapping[str, Callable[[RunningLab], Message]] | None = None,
) -> int:
    """Run a lab, or print its scripts; 0 when every check passed. Raises LabError.

    `answers`: what can be asked at its desk, besides who it is, while it stays.
    """
    options = parse_options(wanted)
    report = _report_file(str(wanted["report"]))
    plan = plan_for(method, options)
    if wanted["show_scripts"]:
        from labs.hosts.scripts import show_scripts

        show_scripts(plan, options.dialect)
        return 0
    from labs.run.lab import run

    return run(plan, options, report, answers=answers)


def parse_options(wanted: Mapping[str, object]) -> LabOptions:
    """Check what was typed; raises BadRequest."""
    patient(1)  # a wrong LVS_PATIENCE is refused here
    servers = str(wanted["servers"])
    if not _WHOLE.fullmatch(servers):
        raise BadRequest(f"--servers {servers!r} is not a whole number: a lab has 1 to 200 real servers.")
    return LabOptions(
        servers=int(servers),
        engine=str(wanted["engine"]),
        scheduler=str(wanted["scheduler"]),
        large=bool(wanted["large"]),
        cli=bool(wanted["cli"]),
        dialect=str(wanted["dialect"]),
        controller=str(wanted["controller"]),
        delay=_number("--delay", str(wanted["delay"])),
        loss=_number("--loss", str(wanted["loss"])),
    )


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest(f"{option} {text!r} is not a number.") from None


def _report_file(name: str) -> Path | None:
    """The file for --report, known to be writable before the lab takes its time."""
    if not name:
        return None
    path = Path(name).absolute()
    if path.is_dir() or not path.parent.is_dir():
        raise BadRequest(f"--report {name}: no file can be made there; name a file in an existing folder.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BadRequest(f"--report {name}: not yours to write; name a file that you may write.")
    return path
