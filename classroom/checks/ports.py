"""Which ports of the VIP are served."""

from __future__ import annotations

from classroom.checks import needs, title
from classroom.exercise import Seen
from classroom.probes.ports import ftp_port
from classroom.variants import Variant
from labs.checks.result import Check


@needs(ftp_port)
def ftp_connects(seen: Seen, variant: Variant) -> Check:
    """The VIP's ftp port takes connections."""
    how = seen["ftp_port"] or "nothing"
    return Check(title(ftp_connects), how == "connected", "connected", how)
