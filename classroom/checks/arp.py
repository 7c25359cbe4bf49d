"""Who speaks for the VIP on its segment."""

from __future__ import annotations

from classroom.checks import needs, title
from classroom.exercise import Seen
from classroom.probes.arp import arp_answers
from classroom.variants import Variant
from labs.checks.result import Check

_DIRECTOR = "d-eth0"


@needs(arp_answers)
def one_answer(seen: Seen, variant: Variant) -> Check:
    """Only the director answers ARP for the VIP."""
    answers = seen["arp_answers"]
    return Check(title(one_answer), answers == [_DIRECTOR], _DIRECTOR, ", ".join(answers) or "nobody")
