"""The options that lvs-monitor and lvs-vrrp have in common."""

from __future__ import annotations

import platform
from pathlib import Path

from director import launcher


class Parser(launcher.Parser):
    def add_common_options(self) -> None:
        self.add_argument(
            "--events", type=Path, help="append events to this file, such as the director's own"
        )
        mine = platform.node().partition(".")[0]
        self.add_argument("--config-id", default=mine, metavar="NAME", help="for lines with @NAME")
