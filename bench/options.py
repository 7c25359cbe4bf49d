"""The options of ./inv bench, each spelled once. Imports next to nothing: `./inv --list` reads it."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import BadRequest
from labs.run.options import BOTH, FAMILIES, option

_IPV4 = 4


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options of ./inv bench. Raises BadRequest for an invalid value."""

    methods: str = option("", "Methods to measure, separated by commas (default nat,tun,dr; in IPv6 nat,dr).")
    family: int = option(
        4, "Measure the contenders of this IP version: 4 (default), 6, or 46 for both side by side."
    )
    only: str = option("", "Measure only these, separated by commas: names of files in bench/contenders.")
    figures: str = option(
        "", "Measure only these figures: throughput, segments, packets, connections, latency."
    )
    growth: bool = option(False, "Measure how cost grows instead: with connections, real servers, services.")
    seconds: int = option(3, "Duration of one measurement, 1 to 60 (default 3).")
    rounds: int = option(3, "Number of times each is measured, in turn (default 3).")
    quick: bool = option(False, "One round of one second each: a smoke test, not a measurement.")
    keep: str = option("", "Also keep the results in docs/bench, under this name.")

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= 60 or not 1 <= self.rounds <= 100:
            raise BadRequest("--seconds is 1 to 60 and --rounds 1 to 100.")
        if self.growth and (self.methods or self.figures):
            raise BadRequest("--growth has its own method and figures: leave out --methods and --figures.")
        if self.family not in FAMILIES:
            raise BadRequest(f"--family {self.family}: choose 4, 6 or {BOTH} (both side by side).")
        if self.family != _IPV4 and (self.growth or self.only):
            raise BadRequest(
                "--family chooses contenders, and --growth and --only have theirs (--only direct,direct_ipv6 "
                "names both versions): leave out --family."
            )
        if self.keep and not self.keep.replace("-", "").replace("_", "").isalnum():
            raise BadRequest(f"--keep {self.keep!r}: a name of letters, digits, - and _.")
