"""The program that checks real servers does not run on a director."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import START_CHECKS, checks_of
from doctor.state import LabState

TITLE = "the program that checks real servers is not running"
EXPLAINS = ("no_service", "quiesced", "server_deleted")


def find(state: LabState) -> Iterator[Cause]:
    for director in state.pair:
        host = state.host(director.name)
        if host and host.processes and not checks_of(host):
            yield Cause(
                "checks_down",
                host.name,
                f"none of its {len(host.processes)} processes is that of monitor.sh",
                "A real server that dies keeps its rule on this director, and with it its share of the "
                "clients; one that was out of service stays out. Each director checks for itself, so the "
                "other one may still be right.",
                START_CHECKS,
            )
