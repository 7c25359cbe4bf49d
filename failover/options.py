"""The options of ./inv failover, each spelled once. Imports next to nothing: `./inv --list` reads it."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import BadRequest
from labs.run.options import option

STORIES = ("blackout", "survival", "failback", "cost")
MAX_KILLS = 200
_QUICK_KILLS = 2


@dataclass(frozen=True, slots=True)
class FailoverOptions:
    """The options of a measurement; raises BadRequest for an invalid value."""

    kills: int | None = option(
        None, f"Kills for each technique, 1 to {MAX_KILLS} (default 20; 2 with --quick)."
    )
    only: str = option("", f"Measure only these, separated by commas: {', '.join(STORIES)}.")
    engine: str = option("scapy", "Data plane of the directors: scapy (default) or ebpf.")
    quick: bool = option(False, "Few kills and connections: a smoke test, not a measurement.")
    show: str = option("", "Show the results of an earlier run, from its folder.")
    keep: bool = option(False, "Also keep the results in docs/failover, and put them into its page.")

    def __post_init__(self) -> None:
        if self.kills is not None and not 1 <= self.kills <= MAX_KILLS:
            raise BadRequest(f"--kills {self.kills}: expected 1 to {MAX_KILLS}.")
        for word in self.stories:
            if word not in STORIES:
                raise BadRequest(f"--only {word!r} is unknown: choose from {', '.join(STORIES)}.")
        if self.engine not in ("scapy", "ebpf"):
            raise BadRequest(f"--engine {self.engine!r}: choose from scapy, ebpf.")

    @property
    def stories(self) -> tuple[str, ...]:
        return tuple(word for word in self.only.split(",") if word) or STORIES

    @property
    def count(self) -> int:
        """The kills for each technique."""
        return self.kills or (_QUICK_KILLS if self.quick else 20)
