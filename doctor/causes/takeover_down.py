"""The program that moves the VIP does not run on a director."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import START_TAKEOVER, takeover_of
from doctor.state import LabState

TITLE = "the program that moves the VIP is not running"
EXPLAINS = ("director_vip", "sync_differs", "two_masters")


def find(state: LabState) -> Iterator[Cause]:
    for director in state.pair:
        host = state.host(director.name)
        if host and host.processes and not takeover_of(host):
            has = host.has(state.vip)
            yield Cause(
                "takeover_down",
                host.name,
                f"none of its {len(host.processes)} processes is that of takeover.sh; "
                f"it has {has or 'no ' + state.vip}",
                "A director without it never takes over. If it was the active one, it keeps the VIP without "
                "telling anyone, until the other, which hears nothing, takes over: then both have it.",
                START_TAKEOVER,
            )
