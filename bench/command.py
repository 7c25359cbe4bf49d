"""./inv bench: checks the options, shows progress, and keeps the results."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from bench import contenders, growth_run, measures, plots, tables
from bench.figures import Results
from bench.growth_results import GrowthResults
from bench.measured_on import describe
from bench.options import BenchOptions
from bench.rounds import Plan, measure, steps
from bench.rounds import Progress as Say
from labs.errors import BadRequest
from labs.machine import capabilities
from labs.methods import METHODS
from labs.network.sandbox import run_in_sandbox
from labs.run.evidence import give_to_owner_of, new_folder, results_folder, runs_folder
from labs.terminal.screen import is_terminal, make_console, progress
from labs.wait import patient

ROOT = Path(__file__).resolve().parent.parent
_QUICK_MOST = 10_000  # connections
_NOT_KEPT = shutil.ignore_patterns("*.svg")  # ./inv bench can draw them again
_PROGRAMS = {"iperf3": "iperf3", "wrk": "wrk", "nginx": "nginx", "ip": "iproute2", "ethtool": "ethtool"}


def bench(options: BenchOptions) -> int:
    """Measure, print and keep the results; 0 if all that can run here was measured. Raises LabError."""
    work, keep = _work(options), options.keep
    patient(1)
    _require()
    folder = new_folder(runs_folder(), "bench")
    code = run_in_sandbox(lambda: work(folder))
    if code == 0 and keep:
        folder = Path(shutil.copytree(folder, results_folder() / keep, dirs_exist_ok=True, ignore=_NOT_KEPT))
    give_to_owner_of(ROOT, folder, *folder.rglob("*"))
    print(f"Kept in {folder}")
    return code


def _work(options: BenchOptions) -> Callable[[Path], int]:
    """The function to run in the sandbox, which takes the folder for results. Raises BadRequest."""
    seconds, rounds = (1, 1) if options.quick else (options.seconds, options.rounds)
    chosen = _chosen("--only", options.only, contenders.names())
    if options.growth:
        for name in set(chosen) - set(growth_run.names()):
            raise BadRequest(f"--growth cannot measure {name}: choose from {', '.join(growth_run.names())}.")
        most = _QUICK_MOST if options.quick else growth_run.MOST
        return partial(_growth, growth_run.Plan(chosen or growth_run.CONTENDERS, seconds, rounds, most))
    chosen = chosen or contenders.of_family(options.family)
    able = {method for name in chosen for method in contenders.get(name).methods} or set(METHODS)
    possible = tuple(method for method in METHODS if method in able)
    methods = _chosen("--methods", options.methods, METHODS) or possible
    figures = _chosen("--figures", options.figures, measures.names()) or measures.names()
    return partial(_side_by_side, Plan(methods, chosen, figures, seconds, rounds))


def _chosen(option: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a comma-separated list. Raises BadRequest for an unknown one."""
    words = tuple(word for word in text.split(",") if word)
    for word in words:
        if word not in known:
            raise BadRequest(f"{option} {word!r} is unknown: choose from {', '.join(known)}.")
    return words


def _require() -> None:
    """Raise Unable if a program is missing."""
    os.environ["PATH"] = capabilities.search_path()
    capabilities.require_programs(_PROGRAMS)


def _side_by_side(plan: Plan, folder: Path) -> int:
    """Runs as root in the sandbox. An interrupted run keeps what it has measured so far."""
    results = Results(describe(), plan.as_dict())
    try:
        with _progress(steps(plan)) as say:
            for _ in measure(plan, results, say):
                results.write(folder)
    finally:
        tables.show(tables.of_results(results), tables.notes(results))
        results.write(folder)
        (folder / "table.md").write_text(tables.page(results))
        plots.draw(results, folder)
    return 0 if results.samples else 1


def _growth(plan: growth_run.Plan, folder: Path) -> int:
    """The same for a run with --growth."""
    results = GrowthResults(describe(), plan.as_dict())
    try:
        with _progress(growth_run.steps(plan)) as say:
            for _ in growth_run.measure(plan, results, say):
                results.write(folder)
    finally:
        tables.show(results.tables(), results.notes())
        results.write(folder)
        plots.draw_growth(results, folder)
    return 0 if results.points else 1


@contextmanager
def _progress(total: int) -> Iterator[Say]:
    """A function to call at each step: advances a bar on a terminal, else prints a line."""
    if not is_terminal():
        yield lambda text: print(f"  {text}", flush=True)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress(make_console(), *columns) as bar:
        task = bar.add_task("", total=total)

        def say(text: str) -> None:
            bar.update(task, advance=1, description=text)

        yield say
