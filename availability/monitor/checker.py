"""The state of one check: when it runs next, and whether what it checks is up.

No I/O and no clock: the caller passes the time in seconds. A server goes down only after a check and its
`retry` further attempts have failed; one success brings it back. With several pages (HTTP_GET) each run
fetches one, and a server that is down comes up when all have been right.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from availability.config.model import Check


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt: `why` it failed, or ""; and the weight that its program asks for, if any."""

    why: str = ""
    weight: int | None = None

    @property
    def ok(self) -> bool:
        return not self.why


@dataclass(slots=True)
class Checker:
    """A check with its state; `due` is when it runs next."""

    check: Check
    due: float
    up: bool
    failures: int = 0  # in a row
    page: int = 0  # the next one to ask for
    weight: int | None = None  # what its program asked for last
    why: str = field(default="", compare=False)  # the last failure

    @classmethod
    def new(cls, check: Check, now: float, delay: float, up: bool | None = None) -> Checker:
        """`delay` is a part of the warm-up, 0 to 1; `up` the first state, None for the configuration's."""
        return cls(check, now + check.timing.warmup * delay, not check.timing.alpha if up is None else up)

    def finish(self, outcome: Outcome, now: float) -> bool:
        """Take the outcome of an attempt; returns whether the state has changed."""
        before = self.up, self.weight
        timing = self.check.timing
        if outcome.ok:
            self._succeed(now)
            self.weight = outcome.weight
        else:
            self.why = outcome.why
            self.failures += 1
            if self.up and self.failures <= timing.retry:
                self.due = now + timing.delay_before_retry
            else:
                self.up = False
                self.failures = self.page = 0
                self.due = now + timing.delay_loop
        return before != (self.up, self.weight)

    def _succeed(self, now: float) -> None:
        self.failures = 0
        self.due = now + self.check.timing.delay_loop
        if self.page + 1 < len(self.check.pages):
            self.page += 1
            if self.check.fast_recovery and not self.up:
                self.due = now
        else:
            self.page = 0
            self.up = True
