"""A real server that is taken out of the service, by the script drain.sh."""

from __future__ import annotations

from collections import Counter

from classroom.checks import needs, title
from classroom.checks.service import told
from classroom.exercise import Seen
from classroom.probes.drain import draining
from classroom.variants import Variant
from labs.checks.result import Check


@needs(draining)
def talks_go_on(seen: Seen, variant: Variant) -> Check:
    """Connections that are open when drain.sh runs go on."""
    names = {server.name for server in variant.plan.servers}
    talks = [one for one in seen["draining"]["talks"] if one["first"] in names]
    found = Counter(
        "went on" if one["then"] == one["first"] else f"{one['first']} {one['then']}" for one in talks
    )
    started = {one["first"] for one in talks} == names
    return Check(title(talks_go_on), started and set(found) == {"went on"}, "all went on", told(found))


@needs(draining)
def nothing_new(seen: Seen, variant: Variant) -> Check:
    """New connections go to the other real servers, all of them."""
    others = [server.name for server in variant.plan.servers if server.name != variant.server]
    found = Counter(one.get("server", one["how"]) for one in seen["draining"]["requests"])
    return Check(title(nothing_new), set(found) == set(others), ", ".join(others), told(found))


@needs(draining)
def script_runs(seen: Seen, variant: Variant) -> Check:
    """The script drain.sh ends without a complaint."""
    said = seen["draining"]["said"]
    return Check(title(script_runs), not said, "no complaint", said or "no complaint")
