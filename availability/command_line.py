"""The options that lvs-monitor, lvs-vrrp and lvs-heartbeat have in common."""

from __future__ import annotations

import platform
from pathlib import Path

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
