"""The options of ./inv vm-test, each spelled once. Imports next to nothing: `./inv --list` reads it."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import BadRequest
from labs.run.options import option

KERNEL = "Boot Debian's kernel of this series, 6.1 or 6.12, instead of this distribution's."


@dataclass(frozen=True, slots=True)
class VmTestOptions:
    """The options of the comparison with kernel IPVS; raises BadRequest."""

    only: str = option("", "Run only tests whose names match this pytest expression.")
    more: int = option(0, "Run N freshly generated scenarios per method and scheduler only.")
    seed: int = option(2000, "Random seed for generated scenarios.")
    replay: str = option("", "Run one scenario on both directors and print both, such as 'wlc 1999/3 (nat)'.")
    record: bool = option(False, "Record again (oracle/recorded) what has changed.")
    force: bool = option(False, "With --record: record every scenario again.")
    minutes: int = option(0, "Run only tests that should finish within N minutes, and list the others.")
    kernel: str = option("", KERNEL)

    def __post_init__(self) -> None:
        if self.minutes < 0 or self.more < 0:
            raise BadRequest("--minutes and --more take a number of 1 or more.")
        if self.force and not self.record:
            raise BadRequest("--force works only with --record: use --record --force.")
