"""Whether packets arrive as they were sent."""

from __future__ import annotations

from classroom.checks import needs, title
from classroom.checks.service import told
from classroom.exercise import Seen
from classroom.probes.checksums import damaged, pings
from classroom.variants import Variant
from labs.checks.result import Check


@needs(damaged)
def none_damaged(seen: Seen, variant: Variant) -> Check:
    """No packet is thrown away by the host that it was for."""
    found = {name: count for name, count in seen["damaged"].items() if count}
    return Check(title(none_damaged), bool(seen["damaged"]) and not found, "nothing", told(found))


@needs(pings)
def vip_pinged(seen: Seen, variant: Variant) -> Check:
    """The VIP answers the pings of all clients."""
    silent = [name for name, ok in seen["pings"].items() if not ok]
    answered = f"not those of {', '.join(silent)}" if silent else "all"
    return Check(title(vip_pinged), bool(seen["pings"]) and not silent, "all", answered)
