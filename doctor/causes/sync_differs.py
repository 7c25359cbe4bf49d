"""The synchronisation daemons of the two directors do not reach each other."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import restart_takeover
from doctor.state import LabState, Paired

TITLE = "connection synchronisation uses the wrong interface or number"

_FILE = "keepalived.conf"


def find(state: LabState) -> Iterator[Cause]:
    for director in state.pair:
        host = state.host(director.name)
        wrong = [
            daemon
            for daemon in director.daemons
            if (daemon.interface, daemon.syncid) != (director.sync_on, director.syncid)
        ]
        if not director.sync_on or not wrong or host is None or host.error:
            continue
        yield Cause(
            "sync_differs",
            host.name,
            f"its daemon is {wrong[0]}; planned is {director.sync_on}, syncid {director.syncid}"
            f"{_other(state, director)}",
            "A daemon hears only what is sent on its own network with its own number. Everything seems to "
            "work, but the other director learns of no connection: all are lost when it takes over.",
            "\n".join(
                [
                    f"sed -i 's|^\\( *lvs_sync_daemon \\)[^ ]*\\(.* id \\)[0-9]*|"
                    f"\\1{director.sync_on}\\2{director.syncid}|' {_FILE}",
                    *restart_takeover(host),
                ]
            ),
        )


def _other(state: LabState, director: Paired) -> str:
    """The sync daemon of the other director, as text."""
    others = (other for other in state.pair if other is not director)
    return next((f"; on {other.name} is {daemon}" for other in others for daemon in other.daemons), "")
