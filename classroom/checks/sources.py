"""In whose name the clients are answered."""

from __future__ import annotations

from classroom.checks import needs, title
from classroom.checks.service import told
from classroom.exercise import Seen
from classroom.probes.sources import sources
from classroom.variants import Variant
from labs.checks.result import Check


@needs(sources)
def only_the_vip(seen: Seen, variant: Variant) -> Check:
    """All packets to the clients come from the VIP."""
    found = seen["sources"]
    return Check(title(only_the_vip), set(found) == {variant.plan.vip}, variant.plan.vip, told(found))
