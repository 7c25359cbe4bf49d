"""Large files."""

from __future__ import annotations

from classroom.checks import needs, title
from classroom.exercise import Seen
from classroom.probes.transfers import uploads
from classroom.variants import Variant
from labs.checks.result import Check

_FITS = 1480  # bytes: what is left of 1500 by a tunnel's header


@needs(uploads)
def uploads_arrive(seen: Seen, variant: Variant) -> Check:
    """A file of 100 kB can be uploaded from every client."""
    found = seen["uploads"]
    told = [f"{name}: {one['said'] or 'arrived'}" for name, one in found.items()]
    ok = len(found) > 0 and not any(one["said"] for one in found.values())
    return Check(title(uploads_arrive), ok, "arrived", "; ".join(told) or "nothing")


@needs(uploads)
def length_learnt(seen: Seen, variant: Variant) -> Check:
    """Every client finds out how long its packets may be."""
    found = {name: one["mtu"] for name, one in seen["uploads"].items()}
    told = [f"{name}: {f'{mtu} bytes' if mtu else 'it did not'}" for name, mtu in found.items()]
    return Check(title(length_learnt), set(found.values()) == {_FITS}, f"{_FITS} bytes", "; ".join(told))
