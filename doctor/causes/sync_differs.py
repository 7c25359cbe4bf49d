"""The synchronisation daemons of the two directors do not reach each other."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import restart_takeover
from doctor.state import LabState, Paired

TITLE = "connection synchronisation uses the wrong interface or number"

_FILE = "keepalived.conf"


def find(state: LabState) -> Iterator[Cause]:
    for one in state.pair:
        host = state.host(one.name)
        wrong = [each for each in one.daemons if (each.interface, each.syncid) != (one.sync_on, one.syncid)]
        if not one.sync_on or not wrong or host is None or host.error:
            continue
        yield Cause(
            "sync_differs",
            host.name,
            f"its daemon is {wrong[0]}; planned is {one.sync_on}, syncid {one.syncid}{_other(state, one)}",
            "A daemon hears only what is sent on its own network with its own number. Everything seems to "
            "work, but the other director learns of no connection: all are lost when it takes over.",
            "\n".join(
                [
                    f"sed -i 's|^\\( *lvs_sync_daemon \\)[^ ]*\\(.* id \\)[0-9]*|"
                    f"\\1{one.sync_on}\\2{one.syncid}|' {_FILE}",
                    *restart_takeover(host),
                ]
            ),
        )


def _other(state: LabState, one: Paired) -> str:
    """What runs on the other director."""
    others = (each for each in state.pair if each is not one)
    return next((f"; on {each.name} is {daemon}" for each in others for daemon in each.daemons), "")
