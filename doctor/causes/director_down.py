"""The director's process is not running."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import end_process, start_director
from doctor.state import HostState, LabState, Process

TITLE = "the director is not running"

_PROGRAM = "lvs-director"


def find(state: LabState) -> Iterator[Cause]:
    for host, director, process in state.directors:
        if not director.error or not host.processes or process is not None:
            continue
        links = [host.link(plug.interface) for plug in host.plugs if host.links]
        if links and not any(link and link.works for link in links):
            continue  # it would not start: link_down comes first
        left = next((other for other in host.processes if _PROGRAM in other.command), None)
        yield _out_of_reach(host, left) if left else _gone(host, director.error)


def _gone(host: HostState, error: str) -> Cause:
    return Cause(
        "director_down",
        host.name,
        f"no process has its control socket: {error}",
        "New connections are not scheduled. When the process ends, its rules and connections end with it: "
        "after a start it needs its rules again.",
        "\n".join(start_director()),
    )


def _out_of_reach(host: HostState, process: Process) -> Cause:
    return Cause(
        "director_down",
        host.name,
        f"its control socket is gone; process {process.pid}, {_PROGRAM}, runs without one",
        "It goes on forwarding by the rules that it has, but no tool reaches it. A second director beside it "
        "is not a repair: it has to end first.",
        "\n".join([end_process(process.pid), *start_director()]),
    )
