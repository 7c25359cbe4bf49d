"""./inv compare: what is asked for, sandbox after sandbox, and then the result of what the journal has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from bench.machine import describe
from compare import experiment, page, plots, report
from compare.dispatch import experiment as dispatching
from compare.dispatch import ways
from compare.experiment import Part
from compare.journal import Journal
from compare.progress import Progress
from compare.results import Results
from compare.settings import METHODS, Settings, counts_up_to
from labs import capabilities
from labs.errors import BadRequest
from labs.evidence import give_to_owner_of, new_folder, runs
from labs.options import LabOptions
from labs.sandbox import run_in_sandbox
from labs.wait import patient

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "docs" / "comparison"
JOURNAL = "measured.jsonl"
_INTERRUPTED = 130


def compare(*, servers: str, methods: str, engine: str, rate: str, quick: bool, dispatch: bool) -> int:
    """Measure, show and keep; 0 when all that was planned is measured. Raises LabError."""
    settings = parse(servers=servers, methods=methods, engine=engine, rate=rate, quick=quick)
    patient(1)
    capabilities.require({**capabilities.PROGRAMS, **(ways.PROGRAMS if dispatch else {})})
    capabilities.require_for(LabOptions(engine=settings.engine))
    return carry_out(settings, tuple(dispatching.parts(settings) if dispatch else experiment.parts(settings)))


def parse(*, servers: str, methods: str, engine: str, rate: str, quick: bool) -> Settings:
    """What was typed; raises BadRequest."""
    counts = counts_up_to(_number("--servers", servers or ("20" if quick else "50")), quick=quick)
    chosen = tuple(word for word in methods.split(",") if word) or METHODS
    times = {"seconds": 2.0, "warm_up": 1.5, "patience": 2.0} if quick else {}
    return Settings(chosen, counts, engine, _number("--rate", rate), **times)


def _number(option: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadRequest(f"{option} {text!r} is not a whole number above zero.")
    return int(text)


def carry_out(settings: Settings, work: Iterable[Part]) -> int:
    """Every part in a sandbox of its own; an interrupt ends them all, and what there is is shown."""
    folder = new_folder(runs(), "compare")
    journal = Journal(folder / JOURNAL)
    planned = {name: seconds for part in work for name, seconds in part.steps.items()}
    progress = Progress(planned)
    journal.add("begun", {"machine": describe(), "settings": settings.as_dict(), "planned": list(planned)})
    progress.say(f"Comparing: {len(planned)} steps, about {progress.seconds:.0f} s; kept in {folder}")
    interrupted = False
    try:
        for part in work:
            if run_in_sandbox(partial(part.work, journal, progress)) == _INTERRUPTED:
                interrupted = True
                break
    except KeyboardInterrupt:
        interrupted = True
    return _INTERRUPTED if _finish(folder) is None or interrupted else _code(folder)


def show(folder: Path) -> int:
    """The result of an earlier run again, from its journal."""
    if not (folder / JOURNAL).is_file():
        raise BadRequest(f"--show {folder}: there is no {JOURNAL}; name the folder of a comparison.")
    _finish(folder)
    return _code(folder)


def _code(folder: Path) -> int:
    return 0 if Results.of(Journal(folder / JOURNAL)).complete else 1


def _finish(folder: Path) -> Results:
    results = Results.of(Journal(folder / JOURNAL))
    results.write(folder)
    pictures = plots.draw(results, folder)
    page.write(results, folder, pictures)
    report.show(results)
    print(f"\nKept in {os.path.relpath(folder)}: compare.html has all of it")
    give_to_owner_of(ROOT, folder, *folder.rglob("*"))
    return results
