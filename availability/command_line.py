"""What lvs-monitor, lvs-vrrp and lvs-heartbeat have in common: options, complaints, priority as processes."""

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
        """Of those that read keepalived.conf."""
        self.add_events_option()
        mine = platform.node().partition(".")[0]
        self.add_argument("--config-id", default=mine, metavar="NAME", help="for lines with @NAME")


class Complaints:
    """Says each sentence once, and at most MOST of them: what others send must not fill the log."""

    MOST = 20

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = set[str]()

    def __call__(self, sentence: str) -> None:
        if sentence in self._said or len(self._said) == self.MOST:
            return
        self._said.add(sentence)
        last = " This is the last complaint of its kind." if len(self._said) == self.MOST else ""
        self._say(sentence + last)


def take_priority(settings: Block, which: str) -> str:
    """Be scheduled as global_defs say for `vrrp` or `checker`; returns a sentence where that is not allowed.

    Programs that this process starts are scheduled as others (SCHED_RESET_ON_FORK, sched(7)).
    """
    nice, real_time = (settings.get(f"{which}_{name}") for name in ("priority", "rt_priority"))
    try:
        if nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        if real_time is not None:
            policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(0, policy, os.sched_param(real_time))
    except OSError as error:
        return f"It runs with an ordinary priority ({error.strerror}): run it as root for {which}_priority."
    return ""
