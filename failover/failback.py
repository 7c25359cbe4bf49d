"""Failing back: which connections survive when the dead director comes back and takes the VIP again.

They began on the other director while this one was away. With the kernel's protocol it never learns of quiet
ones, because it can't ask for them; with --resync it asks for the whole table. It takes the VIP some time
after its start, like `preempt_delay` in lab-ha. A connection survives if its next request is answered.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compare.progress import Progress
from compare.results import Journal
from director.core.sync_protocol import BACKUP, MASTER
from failover.options import FailoverOptions
from failover.pair import DIRECTORS, Pair, other
from failover.survival import CROWD_RATE, OLD, calling, crowd_of
from labs.methods import METHODS
from labs.wait import patient

_DELAY = 3.0  # seconds from its start until it takes the VIP
_ROUND = 15.0  # seconds, for the progress bar


@dataclass(frozen=True, slots=True)
class Mode:
    name: str
    title: str
    resync: bool


MODES = (
    Mode("kernel", "failing back, as with the kernel's protocol", resync=False),
    Mode("resync", "failing back, with --resync", resync=True),
)


def steps(options: FailoverOptions) -> dict[str, float]:
    """The steps' names and expected seconds."""
    return {mode.title: _ROUND + len(METHODS) * crowd_of(options) / CROWD_RATE for mode in MODES}


def measure(options: FailoverOptions, journal: Journal, progress: Progress) -> Iterator[str]:
    """Adds `failback` for each connection; yields the names of the steps that are done. Raises LabError."""
    pair = Pair(journal.file.parent / "failback", options.engine)
    first = DIRECTORS[0]
    try:
        for mode in MODES:
            with progress.step(mode.title) as notes:
                found = come_back(pair, first, len(METHODS) * crowd_of(options), resync=mode.resync)
                for entry in found:
                    journal.add("failback", {"mode": mode.name, **entry})
                lived = sum(entry["fate"] == "lives" for entry in found)
                notes.append(f"{lived} live, {len(found) - lived} lost")
            yield mode.title
    finally:
        pair.close()


def come_back(pair: Pair, first: str, count: int, *, resync: bool) -> list[dict[str, Any]]:
    """Open connections while the first director is dead, and revive it; returns their fates."""
    second = other(first)
    pair.restart_servers()
    pair.restart(second)
    pair.synchronise(second, MASTER, resync=resync)
    pair.kill(first)
    pair.take_over(second)
    with calling(pair, "rr", count, CROWD_RATE, opened=True) as callers:
        time.sleep(OLD)  # their sync messages have been sent, and lost
        pair.revive(first)
        pair.synchronise(first, BACKUP, resync=resync)
        time.sleep(patient(_DELAY))
        pair.give_up(second)
        pair.take_over(first)
        callers.note_death()
        return callers.fates()
