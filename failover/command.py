"""./inv failover: runs each story in a sandbox of its own, and shows the results in the journal."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from rich.text import Text

from bench.measured_on import describe
from compare.progress import Progress
from compare.results import Journal
from director import engines
from director.engines.engine import EngineError
from failover import blackout, charts, failback, measured, survival, sync_cost
from failover.options import STORIES, FailoverOptions
from labs.errors import BadRequest, Unable
from labs.machine import capabilities
from labs.network.sandbox import run_in_sandbox
from labs.run.evidence import give_to_owner_of, new_folder, runs_folder
from labs.run.lab import EXPECTED_ERRORS
from labs.terminal.screen import WIDE, make_console, tables_that_fit
from labs.wait import patient

ROOT = Path(__file__).resolve().parent.parent
JOURNAL = "measured.jsonl"
KEPT, PAGE = ROOT / "docs" / "failover", ROOT / "docs" / "failover.md"
_STORIES: dict[str, ModuleType] = {
    "blackout": blackout,
    "survival": survival,
    "failback": failback,
    "cost": sync_cost,
}
_TIMED = {"blackout", "cost"}  # their figures depend on the machine
_PROGRAMS = {"ip": "iproute2", "ethtool": "ethtool"}
_INTERRUPTED = 130


def failover(options: FailoverOptions) -> int:
    """Measure, show and keep; 0 when everything that can run here was measured. Raises LabError."""
    if options.show:
        return show(Path(options.show))
    if options.keep:
        _require_same_machine(options)
    patient(1)
    os.environ["PATH"] = capabilities.search_path()
    capabilities.require_programs({**_PROGRAMS, **(sync_cost.PROGRAMS if "cost" in options.stories else {})})
    try:
        engines.require(options.engine)
    except EngineError as error:
        raise Unable(str(error)) from None
    folder = new_folder(runs_folder(), "failover")
    journal = Journal(folder / JOURNAL)
    stories = [_STORIES[name] for name in options.stories]
    planned = {name: seconds for story in stories for name, seconds in story.steps(options).items()}
    progress = Progress(planned)
    settings = {"kills": options.count, "engine": options.engine, "quick": options.quick}
    machine = {**describe(), "load": round(os.getloadavg()[0], 1)}
    journal.add("begun", {"machine": machine, "settings": settings, "planned": list(planned)})
    progress.say(f"Measuring failover: about {progress.seconds:.0f} s; kept in {folder}")
    interrupted = False
    try:
        for story in stories:
            if run_in_sandbox(partial(_run_story, story, options, journal, progress)) == _INTERRUPTED:
                interrupted = True
                break
    except KeyboardInterrupt:
        interrupted = True
    code = _finish(folder)
    if options.keep and code == 0:
        _keep(folder, options)
    return _INTERRUPTED if interrupted else code


def _run_story(story: ModuleType, options: FailoverOptions, journal: Journal, progress: Progress) -> int:
    """Run one story as root of its sandbox; notes an error as the reason for the missing steps."""
    os.chdir(ROOT)
    measure: Callable[..., list[str]] = story.measure
    left = list(story.steps(options))
    try:
        for name in measure(options, journal, progress):
            journal.add("done", {"what": name})
            left.remove(name)
    except EXPECTED_ERRORS as error:
        for name in left:
            journal.add("failed", {"what": name, "why": str(error)})
    return 0


def show(folder: Path) -> int:
    """Show the results of an earlier run, from its journal. Raises BadRequest."""
    if not any(Journal(folder / JOURNAL).all("begun")):
        raise BadRequest(f"--show {folder}: it has no {JOURNAL} of ./inv failover: name the folder of a run.")
    return _finish(folder)


def _finish(folder: Path) -> int:
    """Write and show the results; 0 if nothing is missing except what this machine can't do."""
    journal = Journal(folder / JOURNAL)
    found = measured.summary(journal)
    measured.write(found, folder)
    charts.draw(found, folder)
    console = make_console(WIDE)
    for title, (head, *rows) in measured.tables(found).items():
        console.print()
        labels = 2 if "method" in head or "" in head else 1
        for table in tables_that_fit(console, title, head, rows, head[labels:], labels):
            console.print(table)
    for line in measured.missing(found):
        console.print(Text(line), style="bold")
    print(f"\nKept in {os.path.relpath(folder)}")
    give_to_owner_of(ROOT, folder, *folder.rglob("*"))
    excused = {entry["what"] for entry in journal.all("left out")}
    return 0 if not found["missing"].keys() - excused else 1


def _require_same_machine(options: FailoverOptions) -> None:
    """Refuse to mix times of two machines on the page. Raises BadRequest."""
    kept, here = _kept(options) if _TIMED & {*options.stories} else {}, describe()
    for name in ("kernel", "processor", "processors"):
        if kept and kept["machine"][name] != here[name]:
            raise BadRequest(
                f"--keep --only {options.only}: the other figures in {KEPT.relative_to(ROOT)} are of another "
                f"machine ({name} {kept['machine'][name]}, here {here[name]}): measure all, without --only."
            )


def _kept(options: FailoverOptions) -> measured.Summary:
    """The documentation's summary, to keep the stories that are not measured now; empty without one."""
    path = KEPT / "failover.json"
    if set(options.stories) == set(STORIES) or not path.exists():
        return {}
    found: measured.Summary = json.loads(path.read_text())
    return found


def _keep(folder: Path, options: FailoverOptions) -> None:
    """Write figures, pictures and the page's tables into the documentation; other stories stay.

    The page names one machine, and another where only the fate of connections was measured.
    """
    found = measured.summary(Journal(folder / JOURNAL))
    kept = _kept(options)
    if kept:
        here, elsewhere = found["machine"], kept.get("elsewhere", {})
        if _TIMED & {*options.stories}:
            here["load"] = max(summary["machine"].get("load", 0.0) for summary in (found, kept))
        else:
            found["machine"] = kept["machine"]
            elsewhere = elsewhere | dict.fromkeys(options.stories, here)
        found |= {story: kept.get(story, []) for story in STORIES if story not in options.stories}
        found["elsewhere"] = elsewhere
    KEPT.mkdir(exist_ok=True)
    measured.write(found, KEPT)
    with TemporaryDirectory() as drawn:
        charts.draw(found, Path(drawn))
        for image in Path(drawn).glob("*.png"):
            shutil.copy(image, KEPT / image.name)
    PAGE.write_text(measured.replaced(PAGE.read_text(), found))
    give_to_owner_of(ROOT, PAGE, KEPT, *KEPT.iterdir())
