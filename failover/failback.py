"""Failing back: which connections live when the director that has died comes back and takes the VIP again.

It was away while they began, on the other director. With the kernel's protocol it is told of none that is
quiet, because there is no way to ask; with --resync it asks for the whole table. It takes the VIP as long
after its start as `preempt_delay` says in lab-ha. A connection lives if its next request is answered.
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
    """Names and seconds."""
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
    """The first director is dead; connections are opened on the other one; the first comes back."""
    second = other(first)
    pair.restart_servers()
    pair.restart(second)
    pair.synchronise(second, MASTER, resync=resync)
    pair.kill(first)
    pair.take_over(second)
    with calling(pair, "rr", count, CROWD_RATE, opened=True) as callers:
        time.sleep(OLD)  # what is told of them has been sent, and nobody was there
        pair.revive(first)
        pair.synchronise(first, BACKUP, resync=resync)
        time.sleep(patient(_DELAY))
        pair.give_up(second)
        pair.take_over(first)
        callers.note_death()
        return callers.fates()
