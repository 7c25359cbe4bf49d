"""A real server answers requests for its page with an error, or closes the connection without an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import FTP, listening_program, restart_httpd, restore_files
from doctor.sightings import last_seen
from doctor.state import FAILED, OUT, RESET, SERVER, TIMED_OUT, WRONG_SERVER, HostState, LabState, Trial
from realserver_setup.httpd import PROGRAM

TITLE = "a real server's httpd answers with an error, or a wrong page"

_FEW = 4  # changed lines
# Of nginx: it breaks transfers off that do not fit into buffers, or sends less than 10 kB a second.
_ONLY_SHORT = re.compile(r"\b(?:(?:send|client_body)_timeout +\d{1,3}ms|limit_rate +(?:\d{1,4}|\dk);)")


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(SERVER):
        trial = next((trial for trial in state.trials if _is_error(state, trial, host)), None)
        is_wrong = trial or host.site.missing or host.site.altered or _serves_only_short(host)
        if is_wrong and listening_program(state, host) in ("", PROGRAM):
            yield _cause(host, trial)


def _is_error(state: LabState, trial: Trial, host: HostState) -> bool:
    """Whether this real server accepted the connection, but did not answer with its page."""
    closed = trial.outcome in (RESET, TIMED_OUT) and trial.connected and bool(host.site.changed)
    has_sent = any(seen.host == host.name and seen.way == OUT and "data" in seen.what for seen in trial.seen)
    is_other_page = trial.outcome == WRONG_SERVER and (has_sent or state.host(trial.server) is None)
    if not trial.wanted:  # a client's: did the answer come from this host?
        seen = last_seen(trial) if trial.outcome == FAILED and trial.port != FTP else None
        return seen is not None and seen.host == host.name
    return trial.wanted == host.name and (trial.outcome == FAILED or closed or is_other_page)


def _serves_only_short(host: HostState) -> bool:
    """Whether transfers like those of trials succeed, and longer ones do not."""
    return any(_ONLY_SHORT.search(line) for line in host.site.changed)


def _cause(host: HostState, trial: Trial | None) -> Cause:
    site = host.site
    lines = "; ".join(site.changed[:_FEW])
    evidence = [f"GET /name, tried from {trial.host}: {_end(trial)}"] if trial else []
    evidence += [f"its nginx.conf is not as it was at first: {lines}"] if site.changed else []
    evidence += [f"in {site.root} there is no {', '.join(site.missing)}"] if site.missing else []
    evidence += [f"not as at first in {site.root}: {', '.join(site.altered)}"] if site.altered else []
    evidence += [f"something is mounted over {', '.join(site.covered)}"] if site.covered else []
    is_of_files = site.missing or site.altered or (trial and trial.outcome == WRONG_SERVER)
    is_of_program = site.changed or not is_of_files  # if nothing differs, it may be in a bad state
    repair = [*(restore_files(host) if is_of_files else ()), *(restart_httpd(host) if is_of_program else ())]
    return Cause(
        "http_error",
        host.name,
        "; ".join(evidence),
        "The connection works, and what goes wrong is in the program: the director does not look at "
        f"answers, so this real server gets its share of the requests, and {_failing(host, trial)} fails. "
        f"A client sees it as often as {host.name} is chosen.",
        "\n".join(repair) or f"tail ../../servers/{host.name}/logs/error.log",
    )


def _failing(host: HostState, trial: Trial | None) -> str:
    if trial or host.site.missing:
        return "each of them"
    return "each for those files" if host.site.altered else "every longer transfer"


def _end(trial: Trial) -> str:
    return trial.detail or (trial.outcome if trial.outcome == TIMED_OUT else repr(trial.server))
