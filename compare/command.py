"""./inv compare: checks the options, runs each part in a sandbox, and shows the result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.measured_on import describe
from compare import experiment, plots, report
from compare.dispatch import approaches, server_death
from compare.experiment import Part
from compare.options import CompareOptions
from compare.progress import Progress
from compare.results import Journal, Results
from compare.settings import SERVER_KBIT, Settings, counts_up_to
from labs.errors import BadRequest
from labs.machine import capabilities
from labs.methods import METHODS
from labs.network.sandbox import run_in_sandbox
from labs.run.evidence import give_to_owner_of, new_folder, runs_folder
from labs.run.options import LabOptions
from labs.wait import patient

ROOT = Path(__file__).resolve().parent.parent
JOURNAL = "measured.jsonl"
_MOST, _MOST_QUICK = 50, 20  # real servers, by default
_INTERRUPTED = 130


def compare(options: CompareOptions) -> int:
    """Measure, print and keep the result; 0 if all that was planned was measured. Raises LabError."""
    settings = settings_of(options)
    patient(1)
    capabilities.require({**capabilities.PROGRAMS, **(approaches.PROGRAMS if options.dispatch else {})})
    capabilities.require_for(LabOptions(engine=settings.engine, family=settings.family))
    if options.dispatch:
        return carry_out({"engine": options.engine}, tuple(server_death.parts(options.engine)))
    return carry_out(settings.as_dict(), tuple(experiment.parts(settings)))


def settings_of(options: CompareOptions) -> Settings:
    """The settings that these options mean. Raises BadRequest for an invalid value."""
    most = (_MOST_QUICK if options.quick else _MOST) if options.servers is None else options.servers
    counts = counts_up_to(most, quick=options.quick)
    chosen = tuple(word for word in options.methods.split(",") if word) or METHODS
    kbit = SERVER_KBIT if options.rate is None else options.rate
    times = {"seconds": 1.6, "warm_up": 1.2, "patience": 2.0} if options.quick else {}
    return Settings(chosen, counts, options.engine, options.family, kbit, **times)


def carry_out(settings: dict[str, Any], work: Sequence[Part]) -> int:
    """Run every part in its own sandbox. An interrupt ends all of them; the result so far is shown."""
    folder = new_folder(runs_folder(), "compare")
    journal = Journal(folder / JOURNAL)
    planned = {name: seconds for part in work for name, seconds in part.steps.items()}
    progress = Progress(planned)
    journal.add("begun", {"machine": describe(), "settings": settings, "planned": list(planned)})
    progress.say(f"Comparing: {len(planned)} steps, about {progress.seconds:.0f} s; kept in {folder}")
    interrupted = False
    try:
        for part in work:
            if run_in_sandbox(partial(part.work, journal, progress)) == _INTERRUPTED:
                interrupted = True
                break
    except KeyboardInterrupt:
        interrupted = True
    code = _finish(folder)
    return _INTERRUPTED if interrupted else code


def show(folder: Path) -> int:
    """Show the result of an earlier run, from its journal. Raises BadRequest."""
    if not any(Journal(folder / JOURNAL).all("begun")):
        raise BadRequest(
            f"--show {folder}: it has no {JOURNAL} of a comparison: name the folder of an earlier run."
        )
    return _finish(folder)


def _finish(folder: Path) -> int:
    """Write and show the result; 0 if nothing is missing and nothing failed."""
    results = Results.of(Journal(folder / JOURNAL))
    report.show(results)
    results.write(folder)
    report.write_page(results, folder, plots.draw(results, folder))
    print(f"\nKept in {os.path.relpath(folder)}: compare.html has all of it")
    give_to_owner_of(ROOT, folder, *folder.rglob("*"))
    return 0 if results.complete else 1
