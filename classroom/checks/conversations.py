"""Connections on which more is said later."""

from __future__ import annotations

from collections import Counter

from classroom.checks import needs, title
from classroom.checks.service import told
from classroom.exercise import Seen
from classroom.probes.conversations import silences
from classroom.variants import Variant
from labs.checks.result import Check

_KEPT = 30  # seconds that the real servers keep a silent connection (keepalive_timeout)


@needs(silences)
def begun(seen: Seen, variant: Variant) -> Check:
    """New connections are answered at once, by all real servers in turn."""
    names = [server.name for server in variant.plan.servers]
    found = Counter(one["first"] for one in seen["silences"]["answers"])
    return Check(title(begun), set(found) == set(names), ", ".join(names), told(found))


@needs(silences)
def silence_survived(seen: Seen, variant: Variant) -> Check:
    """A connection that was silent for three seconds still answers."""
    answers = seen["silences"]["answers"]
    names = {server.name for server in variant.plan.servers}
    found = Counter(
        "answered" if one["then"] == one["first"] and one["first"] in names else one["then"] or one["first"]
        for one in answers
    )
    expected = f"{len(answers)} answered" if answers else "answers"
    return Check(title(silence_survived), set(found) == {"answered"}, expected, told(found))


@needs(silences)
def patience(seen: Seen, variant: Variant) -> Check:
    """Connections may be silent for as long as the real servers let them."""
    ok = seen["silences"]["left"] > _KEPT - 5  # a moment has passed since
    return Check(title(patience), ok, f"{_KEPT} s", f"{'at least' if ok else 'less than'} {_KEPT} s")
