"""A shop on two ports: at the checkout, each customer must get the real server that holds the basket."""

from __future__ import annotations

import json
from typing import Any

from classroom.checks import listed, needs, title
from classroom.in_host import command
from classroom.model import Observations, Variant
from labs.checks.result import Check
from labs.run.running import RunningLab
from labs.wait import patient

PAGES, CHECKOUT = 80, 8080  # the shop's ports
CUSTOMERS = tuple(f"198.51.100.{number}" for number in range(201, 207))  # addresses of c1
_TIMEOUT = 1.4  # seconds, enough for one retransmitted SYN


def add_customers(running: RunningLab, variant: Variant) -> None:
    """Give c1 the customers' addresses in addition to its own."""
    for customer in CUSTOMERS:
        running.clients[0].host.run(["ip", "addr", "add", f"{customer}/32", "dev", "c1-eth0"])


def sessions(running: RunningLab, variant: Variant) -> list[dict[str, Any]]:
    """For each `customer`, `answers`: by port, the server that answered each of two requests."""
    client = running.clients[0]
    ports, customers = f"{PAGES},{CHECKOUT}", ",".join(CUSTOMERS)
    asking = command("http_customers", client.vip, patient(_TIMEOUT), ports, customers)
    done = client.host.run(asking, timeout=4.5)
    return list(json.loads(done.stdout or "[]"))


@needs(sessions)
def sessions_served(observations: Observations, variant: Variant) -> Check:
    """Every customer is served on both ports."""
    servers = {server.name for server in variant.plan.servers}
    answers = [
        name for session in observations["sessions"] for port in session["answers"].values() for name in port
    ]
    failed = [name for name in answers if name not in servers]
    observed = f"{len(answers) - len(failed)} of {len(answers)} answered" + (
        f", others {failed[0]}" if failed else ""
    )
    return Check(title(sessions_served), bool(answers) and not failed, f"{len(answers)} answered", observed)


@needs(sessions)
def one_server_each(observations: Observations, variant: Variant) -> Check:
    """At the checkout, each customer gets the server that holds the basket."""
    torn = [session for session in observations["sessions"] if len(_met(session)) != 1]
    observed = ", ".join(map(_by_port, torn)) or "the same server"
    whole = bool(observations["sessions"]) and not torn
    return Check(title(one_server_each), whole, f"the same server on {PAGES} and {CHECKOUT}", observed)


@needs(sessions)
def customers_shared(observations: Observations, variant: Variant) -> Check:
    """The customers are shared among the real servers."""
    servers = [server.name for server in variant.plan.servers]
    met = {name: sum(name in _met(session) for session in observations["sessions"]) for name in servers}
    return Check(
        title(customers_shared), all(met.values()), "some customers on each real server", listed(met)
    )


def _met(session: dict[str, Any]) -> set[str]:
    return {name for port in session["answers"].values() for name in port}


def _by_port(session: dict[str, Any]) -> str:
    """`198.51.100.201: 80 rs1, 8080 rs2`"""
    ports = (f"{port} {' then '.join(dict.fromkeys(names))}" for port, names in session["answers"].items())
    return f"{session['customer']}: {', '.join(ports)}"
