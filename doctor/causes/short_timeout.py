"""The director's timeout for established connections is shorter than usual pauses."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import LabState

TITLE = "the director forgets connections that are still in use"

_SHORT = 60  # seconds: idle times below this are normal for any application
_USUAL = {"tcp": 900, "tcpfin": 120, "udp": 300}


def find(state: LabState) -> Iterator[Cause]:
    timeouts = state.director.timeouts
    seconds = timeouts.get("tcp", _USUAL["tcp"])
    if seconds < _SHORT:
        values = " ".join(str(timeouts.get(name, "?")) for name in _USUAL)
        usual = " ".join(map(str, _USUAL.values()))
        yield Cause(
            "short_timeout",
            state.director_host.name,
            f"timeouts (tcp tcpfin udp) are {values}; usual are {usual}",
            f"After {seconds:g} idle seconds the director forgets a connection. The next packet matches no "
            "entry and goes to the director's own kernel, which resets the connection: a longer pause, such "
            "as a user reading, ends it.",
            f"ipvsadm --set {usual}",
        )
