"""Who speaks for the VIP on its segment."""

from __future__ import annotations

from classroom.case import Case
from classroom.checks import needs, title
from classroom.exercise import Seen
from classroom.probes.arp import arp_answers, arp_claims
from labs.checks.result import Check

_DIRECTOR = "d-eth0"


@needs(arp_answers)
def one_answer(seen: Seen, case: Case) -> Check:
    """Only the director answers ARP for the VIP."""
    answers = seen["arp_answers"]
    return Check(title(one_answer), answers == [_DIRECTOR], _DIRECTOR, ", ".join(answers) or "nobody")


@needs(arp_claims)
def one_claim(seen: Seen, case: Case) -> Check:
    """No real server names the VIP in questions of its own."""
    claims = [interface for interface in seen["arp_claims"] if interface != _DIRECTOR]
    return Check(title(one_claim), not claims, "nobody but the director", ", ".join(claims) or "nobody else")
