"""The parts of a comparison, each in its own sandbox. Results go to the journal.

If a part fails, the journal gets the reason, and the next part begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from compare import one_server
from compare.point import Point
from compare.progress import Progress
from compare.results import Finding, Journal
from compare.scaling import Scaling
from compare.settings import Settings
from labs.methods import TITLES
from labs.plan import Plan, plan_for
from labs.run.builder import Builder
from labs.run.evidence import Evidence
from labs.run.lab import EXPECTED_ERRORS
from labs.run.options import LabOptions
from labs.run.running import RunningLab
from labs.terminal.reporter import ConsoleReporter

_BUILD, _PER_SERVER, _READING, _TRIAL = 2.0, 0.1, 0.3, 4.0  # seconds, for the progress bar


@dataclass(frozen=True, slots=True)
class Part:
    """The work in one sandbox: its steps by name, with the expected seconds of each."""

    steps: Mapping[str, float]
    work: Callable[[Journal, Progress], int]


def parts(settings: Settings) -> Iterator[Part]:
    """First the points of every method, then the trials of every method."""
    for method in settings.methods:
        yield Part(_scaling_steps(method, settings), _scaling(method, settings))
    for method in settings.methods:
        for place in one_server.PLACES:
            yield Part({_trial_name(method, place): _TRIAL}, _trials(method, place, settings))


def _scaling_steps(method: str, settings: Settings) -> dict[str, float]:
    build = _BUILD + _PER_SERVER * max(settings.counts)
    points = {
        _point_name(method, count): settings.seconds + settings.warm_up_for(count) + _READING
        for count in settings.counts
    }
    return {_lab_name(method): build, **points}


def _scaling(method: str, settings: Settings) -> Callable[[Journal, Progress], int]:
    def work(journal: Journal, progress: Progress) -> int:
        options = LabOptions(
            servers=max(settings.counts), engine=settings.engine, scheduler="rr", family=settings.family
        )
        names = [_point_name(method, count) for count in settings.counts]
        with noting(journal, [_lab_name(method), *names]):
            with progress.step(_lab_name(method)):
                lab = Scaling(build(plan_for(method, options), options, journal.file.parent), settings)
            journal.add("done", {"what": _lab_name(method)})
            for count, name in zip(settings.counts, names, strict=True):
                with progress.step(name) as notes:
                    point = lab.measure(count)
                    notes.append(_summary(point, settings))
                journal.add("point", point.as_dict())
                journal.add("done", {"what": name})
        return 0

    return work


def _trials(method: str, place: str, settings: Settings) -> Callable[[Journal, Progress], int]:
    def work(journal: Journal, progress: Progress) -> int:
        name = _trial_name(method, place)
        with noting(journal, [name]):
            with progress.step(name) as notes:
                options = replace(one_server.OPTIONS, engine=settings.engine, family=settings.family)
                plan = one_server.plan_at(method, place, settings.family)
                run = build(plan, options, journal.file.parent)
                found = list(one_server.Trial(run, method, place).findings())
                answers = (_answer(finding) for finding in found[-3:])
                notes.append(", ".join(answers))
            for finding in found:
                journal.add("finding", asdict(finding))
            journal.add("done", {"what": name})
        return 0

    return work


def build(plan: Plan, options: LabOptions, folder: Path) -> RunningLab:
    """A lab without captures, its evidence below `folder`. Raises one of EXPECTED_ERRORS."""
    evidence = Evidence(plan.lab, folder)
    return Builder(plan, options, evidence, ConsoleReporter(quiet=True), captures=False).build()


@contextmanager
def noting(journal: Journal, names: Iterable[str]) -> Iterator[None]:
    """In this context, an error goes to the journal as the reason why steps are missing."""
    try:
        yield
    except EXPECTED_ERRORS as error:
        done = {entry["what"] for entry in journal.all("done")}
        for name in names:
            if name not in done:
                journal.add("failed", {"what": name, "why": str(error)})


def _summary(point: Point, settings: Settings) -> str:
    worth = point.delivered / settings.server_rate
    return f"delivers {worth:.2f} ({'; '.join(point.troubles) or point.limited_by})"


def _answer(finding: Finding) -> str:
    return f"{finding.question}: {'works' if finding.works else 'does not'}"


def _lab_name(method: str) -> str:
    return f"{TITLES[method]}, the lab"


def _point_name(method: str, count: int) -> str:
    return f"{TITLES[method]}, {count} server{'s' if count > 1 else ''}"


def _trial_name(method: str, place: str) -> str:
    return f"{TITLES[method]}, a server {place}"
