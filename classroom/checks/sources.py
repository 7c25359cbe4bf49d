"""In whose name the clients are answered."""

from __future__ import annotations

from classroom.case import Case
from classroom.checks import needs, title
from classroom.checks.service import told
from classroom.exercise import Seen
from classroom.probes.sources import sources
from labs.checks.result import Check


@needs(sources)
def only_the_vip(seen: Seen, case: Case) -> Check:
    """All packets to the clients come from the VIP."""
    found = seen["sources"]
    return Check(title(only_the_vip), set(found) == {case.plan.vip}, case.plan.vip, told(found))
