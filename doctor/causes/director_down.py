"""The director's process is not running."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import start_director
from doctor.state import LabState

TITLE = "the director is not running"


def find(state: LabState) -> Iterator[Cause]:
    for host, director, process in state.directors:
        if not director.error or not host.processes or process is not None:
            continue
        links = [host.link(plug.interface) for plug in host.plugs if host.links]
        if links and not any(link and link.works for link in links):
            continue  # it would not start: link_down comes first
        yield Cause(
            "director_down",
            host.name,
            f"no process has its control socket: {director.error}",
            "New connections are not scheduled. When the process ends, its rules and connections end with "
            "it: after a start it needs its rules again.",
            "\n".join(start_director()),
        )
