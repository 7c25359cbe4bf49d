"""The connection table has no room for another connection."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import restart_director
from doctor.state import LabState

TITLE = "the connection table is full"

_USUAL = 1 << 20  # the director's default limit


def find(state: LabState) -> Iterator[Cause]:
    director = state.director
    if director.full:
        edit = "sed -i 's/ *--conn-limit[ =][0-9]*//' start.sh"
        if director.limit >= _USUAL:
            edit = f"sed -i '/lvs-director /s/$/ --conn-limit {4 * director.limit}/' start.sh"
        yield Cause(
            "table_full",
            state.director_host.name,
            f"the table has {director.entries} entries, and its limit is {director.limit} (--conn-limit)",
            "Every connection needs an entry as long as it lasts. To make room the director gives up "
            "half-open and ended connections, but no established one: the packets of a further connection "
            "are dropped.",
            "\n".join([edit, *restart_director(state)]),
        )
