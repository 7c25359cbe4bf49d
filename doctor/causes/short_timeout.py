"""The director's time-out for established connections is shorter than people's pauses."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import LabState

TITLE = "the director forgets connections that are still in use"

_SHORT = 60  # seconds of silence that every application may need
_USUAL = {"tcp": 900, "tcpfin": 120, "udp": 300}


def find(state: LabState) -> Iterator[Cause]:
    timeouts = state.director.timeouts
    seconds = timeouts.get("tcp", _USUAL["tcp"])
    if seconds < _SHORT:
        told = " ".join(str(timeouts.get(name, "?")) for name in _USUAL)
        usual = " ".join(map(str, _USUAL.values()))
        yield Cause(
            "short_timeout",
            state.director_host.name,
            f"timeouts (tcp tcpfin udp) are {told}; usual are {usual}",
            f"After {seconds:g} s of silence the director has no entry of a connection any more. The next "
            "packet belongs to nothing that it knows and goes to its own kernel, which resets the "
            "connection: what pauses longer, such as somebody who reads, is cut off.",
            f"ipvsadm --set {usual}",
        )
