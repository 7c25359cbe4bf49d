"""Code that lvs-monitor, lvs-vrrp and lvs-heartbeat share: options, complaints, scheduling priority."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

from availability.config.values import Block
from director import launcher


class Parser(launcher.Parser):
    def add_events_option(self) -> None:
        self.add_argument(
            "--events", type=Path, help="append events to this file, such as the director's own"
        )

    def add_common_options(self) -> None:
        """Add the options of programs that read keepalived.conf."""
        self.add_events_option()
        host = platform.node().partition(".")[0]
        self.add_argument("--config-id", default=host, metavar="NAME", help="for lines with @NAME")


class Complaints:
    """Prints each sentence once, and at most LIMIT of them: packets from others must not fill the log."""

    LIMIT = 20

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._printed = set[str]()

    def __call__(self, sentence: str) -> None:
        if sentence in self._printed or len(self._printed) == self.LIMIT:
            return
        self._printed.add(sentence)
        last = " This is the last complaint of its kind." if len(self._printed) == self.LIMIT else ""
        self._say(sentence + last)


def take_priority(settings: Block, which: str) -> str:
    """Set the priority that global_defs has for `vrrp` or `checker`; returns a sentence if it can't.

    Programs that this process starts get the ordinary policy (SCHED_RESET_ON_FORK, sched(7)).
    """
    nice, real_time = (settings.get(f"{which}_{name}") for name in ("priority", "rt_priority"))
    try:
        if nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        if real_time is not None:
            policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, policy, os.sched_param(real_time))
    except OSError as error:
        return f"It runs with ordinary priority ({error.strerror}): start it as root for {which}_priority."
    return ""
