"""A process that a lab leaves running: how to wait until it is ready, and what to say if it ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs.errors import BuildFailed
from labs.wait import wait_for

_PATIENCE = 60  # seconds


@dataclass(frozen=True, slots=True)
class Daemon:
    """`name` is for people; everything the process prints goes to `log`."""

    name: str
    process: subprocess.Popen[Any]
    log: Path

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        """Until `ready`, which `what` describes. Raises BuildFailed, at once where the process has ended."""

        def look() -> bool:
            ended = self.ended()
            if ended:
                raise BuildFailed(ended)
            return ready()

        wait_for(look, _PATIENCE, what, BuildFailed)

    def ended(self) -> str:
        """That it has ended, by which signal if it was killed, and its last words; empty while it runs."""
        code = self.process.poll()
        if code is None:
            return ""
        killed = f" by {signal.Signals(-code).name}" if code < 0 else ""
        return f"{self.name} ended{killed}: {self.log.read_text(errors='replace').strip()}"
