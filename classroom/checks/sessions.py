"""Sessions that use two ports: each customer has to meet the same real server at both."""

from __future__ import annotations

from typing import Any

from classroom.checks import needs, title
from classroom.exercise import Seen
from classroom.probes.sessions import PAGES, TILL, sessions
from classroom.variants import Variant
from labs.checks.result import Check


@needs(sessions)
def sessions_served(seen: Seen, variant: Variant) -> Check:
    """Every customer is served on both ports."""
    servers = {server.name for server in variant.plan.servers}
    answers = [who for one in seen["sessions"] for port in one["answers"].values() for who in port]
    failed = [who for who in answers if who not in servers]
    told = f"{len(answers) - len(failed)} of {len(answers)}" + (f", others {failed[0]}" if failed else "")
    return Check(title(sessions_served), bool(answers) and not failed, f"{len(answers)} answered", told)


@needs(sessions)
def one_server_each(seen: Seen, variant: Variant) -> Check:
    """A customer who pays meets the server that knows his basket."""
    torn = [one for one in seen["sessions"] if len(_met(one)) != 1]
    told = ", ".join(map(_told, torn)) or "the same server"
    whole = bool(seen["sessions"]) and not torn
    return Check(title(one_server_each), whole, f"the same server on {PAGES} and {TILL}", told)


@needs(sessions)
def customers_shared(seen: Seen, variant: Variant) -> Check:
    """The customers are shared among the real servers."""
    servers = [server.name for server in variant.plan.servers]
    met = {name: sum(name in _met(one) for one in seen["sessions"]) for name in servers}
    told = ", ".join(f"{name} {count}" for name, count in met.items())
    return Check(title(customers_shared), all(met.values()), "each real server has some", told)


def _met(session: dict[str, Any]) -> set[str]:
    return {who for port in session["answers"].values() for who in port}


def _told(session: dict[str, Any]) -> str:
    """`198.51.100.201: 80 rs1, 8080 rs2`"""
    ports = (f"{port} {' then '.join(dict.fromkeys(who))}" for port, who in session["answers"].items())
    return f"{session['customer']}: {', '.join(ports)}"
