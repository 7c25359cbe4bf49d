"""The director's overload strategy drop_packet drops new connections all the time."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import LabState

TITLE = "the director drops new connections to defend itself"

_ALWAYS = 3


def find(state: LabState) -> Iterator[Cause]:
    sysctls = state.director.sysctls
    rate = sysctls.get("am_droprate", 0)
    if sysctls.get("drop_packet") == _ALWAYS and rate:
        yield Cause(
            "drop_packet",
            state.director_host.name,
            f"drop_packet is {_ALWAYS}, always active, and am_droprate is {rate}",
            f"One new connection in {rate} loses its first packet, whatever the load. The client repeats "
            "it after a second, and may lose that one, too. With 1 in place of 3 the defence is active "
            "under attack only.",
            "ipvs-sysctl drop_packet=0",
        )
