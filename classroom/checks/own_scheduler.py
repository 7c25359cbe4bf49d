"""A scheduler that a student has written: does it do what was asked for?"""

from __future__ import annotations

from collections.abc import Sequence

from classroom.checks import needs, title
from classroom.exercise import Seen
from classroom.guided.own_scheduler import rounds
from classroom.probes.own_scheduler import scheduled, tested
from classroom.variants import Variant
from labs.checks.result import Check


@needs(tested)
def own_tests(seen: Seen, variant: Variant) -> Check:
    """The scheduler passes its tests."""
    found = seen["tested"]
    ok = not found["wrong"] and found["passed"] > 0
    observed = f"{found['passed']} passed" + (f"; {found['wrong']}" if found["wrong"] else "")
    return Check(title(own_tests), ok, "all passed", observed)


@needs(scheduled)
def spread_smoothly(seen: Seen, variant: Variant) -> Check:
    """In the lab, connections are spread as the weights say, and evenly."""
    first, _ = rounds(variant)
    right, found = first.names, seen["scheduled"]["first"]
    return Check(title(spread_smoothly), found == list(right), _told(right), _seen(found, seen))


@needs(scheduled)
def quiesced_left_out(seen: Seen, variant: Variant) -> Check:
    """In the lab, a server of weight 0 is left out, and the others share as their weights say."""
    _, then = rounds(variant)
    right, found = then.names, seen["scheduled"]["then"]
    return Check(title(quiesced_left_out), found == list(right), _told(right), _seen(found, seen))


def _seen(found: Sequence[str], seen: Seen) -> str:
    wrong = seen["scheduled"]["wrong"]
    return "; ".join(filter(None, (_told(found), str(wrong)))) or "nothing"


def _told(names: Sequence[str]) -> str:
    return " ".join(names)
