"""One approach to dispatching in a lab: clients browse, a server dies, then it is removed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from compare.dispatch.approaches import APPROACHES, GROUPS, TTL, Approach
from compare.dispatch.browse import FILES, PATIENCE
from compare.dispatch.outcome import Outcome, Page, between, busiest_share, failing, pages_in, times
from compare.experiment import Part, build, noting
from compare.progress import Progress
from compare.results import Journal
from labs.errors import BuildFailed
from labs.plan import plan_for
from labs.run.options import LabOptions
from labs.run.running import RunningLab
from labs.wait import patient, wait_for
from realserver_setup.files import SIZES

_BROWSE = Path(__file__).resolve().parent / "browse.py"
_SERVERS, _DIES = 4, "rs2"
_SEED = 1999
_PHASE = 2 * TTL  # seconds: healthy, with a dead server, with that server removed
_BUILD = 2.5  # seconds, for the progress bar


def parts(engine: str) -> Iterator[Part]:
    """A part for every approach, each in its own sandbox."""
    for number, approach in enumerate(APPROACHES):
        yield Part({_name(approach): _BUILD + 3 * _PHASE}, _work(approach, engine, _SEED + 1000 * number))


def _name(approach: Approach) -> str:
    return f"dispatch: {approach.title}"


def _work(approach: Approach, engine: str, seed: int) -> Callable[[Journal, Progress], int]:
    def work(journal: Journal, progress: Progress) -> int:
        with noting(journal, [_name(approach)]):
            with progress.step(_name(approach)) as notes:
                options = LabOptions(servers=_SERVERS, engine=engine, scheduler="rr")
                run = build(plan_for(approach.lab, options), options, journal.file.parent)
                outcome = observe(approach, run, seed)
                notes.append(
                    f"{outcome.median * 1e3:.1f} ms; {outcome.failed_dead:.0%} fail with a dead server, "
                    f"{outcome.failed_out:.0%} later"
                )
            journal.add("dispatch", outcome.as_dict())
            journal.add("done", {"what": _name(approach)})
        return 0

    return work


def observe(approach: Approach, run: RunningLab, seed: int, phase: float = _PHASE) -> Outcome:
    """Three phases of the same length. Raises LabError, OSError."""
    take_out = approach.begin(run)
    logs = _start(approach, run, seed)
    wait_for(lambda: all(pages_in(log) for log in logs), 20, "a page for every client host", BuildFailed)
    began, totals, sizes = time.monotonic(), [_requests(run)], _bytes(run)
    for _ in range(2):
        time.sleep(phase / 2)
        totals.append(_requests(run))
    healthy_to, requests, all_bytes = time.monotonic(), totals[-1], _bytes(run)
    run.farm.kill(_DIES)
    killed = time.monotonic()
    time.sleep(phase)
    done = take_out([server for server in run.plan.servers if server.name != _DIES])
    out = time.monotonic()
    time.sleep(phase)
    end = time.monotonic()
    pages = [page for log in logs for page in pages_in(log)]
    healthy = between(pages, began, healthy_to)
    median, p95 = times(healthy)
    return Outcome(
        approach=approach.name,
        title=approach.title,
        requests={name: count - totals[0][name] for name, count in requests.items()},
        bytes={name: count - sizes[name] for name, count in all_bytes.items()},
        busiest=busiest_share(totals),
        window=phase / 2,
        pages=len(healthy),
        median=median,
        p95=p95,
        failed_before=failing(healthy),
        failed_dead=failing(_begun(pages, killed, out)),
        failed_out=failing(_begun(pages, out, end)),
        taken_out=done,
        visitors=tuple(
            sorted({request.client for server in _names(run) for request in run.farm.requests(server)})
        ),
        clients=tuple(sorted(_addresses(run))),
    )


def _start(approach: Approach, run: RunningLab, seed: int) -> list[Path]:
    targets = approach.target or ",".join(server.address for server in run.plan.servers)
    logs = []
    for place, client in enumerate(run.clients):
        log = run.evidence.log(f"browse-{client.host.name}")
        groups = map(str, GROUPS[client.host.name])
        own = str(seed + 100 * place)
        words = (f"{patient(PATIENCE):g}", approach.browse, targets, own, *groups)
        client.host.start([sys.executable, "-S", "-E", str(_BROWSE), *words], log)
        logs.append(log)
    return logs


def _begun(pages: Sequence[Page], begin: float, end: float) -> list[Page]:
    """The pages that began in this interval, including those that ended later."""
    return [page for page in pages if begin <= page.at - page.seconds < end]


def _names(run: RunningLab) -> list[str]:
    return [server.name for server in run.plan.servers]


def _addresses(run: RunningLab) -> list[str]:
    return [node.address for node in run.plan.topology.nodes if run.plan.topology.is_client(node.name)]


def _requests(run: RunningLab) -> dict[str, int]:
    """The number of requests so far, per server."""
    return {name: len(run.farm.requests(name)) for name in _names(run)}


def _bytes(run: RunningLab) -> dict[str, int]:
    """The bytes of all files requested so far, per server."""
    sizes = {path: SIZES[path.removeprefix("/")] for path in FILES}
    return {
        name: sum(sizes.get(request.request.split()[1], 0) for request in run.farm.requests(name))
        for name in _names(run)
    }
