"""A rush: many visitors within a second, while earlier connections stay open."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from classroom.checks import listed, needs, outcomes, title
from classroom.checks.open_connections import Conversation
from classroom.checks.service import send_requests
from classroom.model import Observations, Variant
from labs.checks.result import Check
from labs.network.topology import Role
from labs.run.running import RunningLab

VISITORS = 60  # per client, all at once; divisible by the number of real servers
_OPEN = 3  # connections that are open before


def rush(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """Each client sends 60 requests at once, while earlier connections of c1 are idle; then these resume.

    `talks`: the answers on the earlier connections before (`first`) and after (`then`); `requests`: the
    results of the others; `served`: their numbers by real server.
    """
    conversation = Conversation(running.clients[0], _OPEN)
    conversation.wait()
    with ThreadPoolExecutor(len(running.clients)) as pool:
        made = list(pool.map(lambda client: send_requests(client, 80, VISITORS), running.clients))
    conversation.resume()
    ended = [request for requests in made for request in requests]
    return {
        "talks": conversation.answers(),
        "requests": dict(Counter(request["how"] for request in ended)),
        "served": dict(
            sorted(Counter(request["server"] for request in ended if "server" in request).items())
        ),
    }


@needs(rush)
def rush_served(observations: Observations, variant: Variant) -> Check:
    """Every visitor of a rush is served."""
    found = observations["rush"]["requests"]
    expected = f"{sum(found.values())} answered"
    return Check(title(rush_served), set(found) == {"answered"}, expected, outcomes(found))


@needs(rush)
def rush_shared(observations: Observations, variant: Variant) -> Check:
    """Every real server gets its share of a rush."""
    names, served = [server.name for server in variant.plan.servers], observations["rush"]["served"]
    share = VISITORS * len(variant.plan.nodes(Role.CLIENT)) // len(names)
    fair = all(abs(served.get(name, 0) - share) <= _OPEN for name in names)
    expected = f"about {share} each"
    return Check(title(rush_shared), fair, expected, listed(served))


@needs(rush)
def guests_stay(observations: Observations, variant: Variant) -> Check:
    """Connections that were open before a rush keep working."""
    names = {server.name for server in variant.plan.servers}
    talks = [talk for talk in observations["rush"]["talks"] if talk["first"] in names]
    broken = Counter(talk["then"] for talk in talks if talk["then"] != talk["first"])
    kept = "all kept working"
    return Check(title(guests_stay), not broken, kept, outcomes(broken) if broken else kept)
