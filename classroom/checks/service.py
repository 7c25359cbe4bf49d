"""HTTP service to clients: whether they are served, by which real servers, and in which shares."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from classroom.checks import listed, needs, outcomes, title
from classroom.in_host import command
from classroom.model import Observations, Variant
from labs.checks.result import Check
from labs.hosts.client import Client
from labs.network.topology import Role
from labs.plan import RealServer
from labs.run.running import RunningLab
from labs.wait import patient

_TIMEOUT = 1.2  # seconds for a request, long enough for one retransmitted SYN
MIN_REQUESTS = 12

# ---- probes ----


def requests(running: RunningLab, variant: Variant) -> list[dict[str, str]]:
    """The results of c1's requests to port 80: at least twelve, a whole number of weighted rounds."""
    return settled_requests(running.clients[0], 80, _weighted_rounds(variant))


def other_clients(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """`clients`: by name, without c1, the results of requests; `visitors`: addresses in the servers' logs.

    The clients send one after the other, so that each reaches every real server.
    """
    before = {server.name: len(running.farm.requests(server.name)) for server in variant.plan.servers}
    clients = {client.host.name: _outcomes(client, variant) for client in running.clients[1:]}
    logged = (running.farm.requests(name)[count:] for name, count in before.items())
    visitors = {request.client for requests in logged for request in requests}
    return {"clients": clients, "visitors": sorted(visitors)}


def _outcomes(client: Client, variant: Variant) -> dict[str, int]:
    made = settled_requests(client, 80, _weighted_rounds(variant))
    return dict(Counter(outcome["how"] for outcome in made))


def settled_requests(client: Client, port: int, count: int) -> list[dict[str, str]]:
    """As `send_requests`, but if all were answered, returns the results of another round of requests.

    In a new network, packets take a wrong path only after ARP has learnt it.
    """
    made = send_requests(client, port, count)
    return send_requests(client, port, count) if all("server" in request for request in made) else made


def send_requests(client: Client, port: int, count: int) -> list[dict[str, str]]:
    """Send requests in parallel, each on its own connection.

    Returns for each `how` it ended: `answered`, by `server`, or the name of an errno. Raises ValueError if
    the client could not send.
    """
    sending = command("http_parallel", client.vip, port, count, patient(_TIMEOUT))
    done = client.host.run(sending, timeout=4 * _TIMEOUT)
    if done.exit_code:
        reason = done.stderr.strip() or f"exit code {done.exit_code}"
        raise ValueError(f"{client.host.name} could not send requests: {reason}")
    made: Any = json.loads(done.stdout)
    return list(made)


_ANYWHERE = ("192.0.2.1", "100.64.0.1")  # addresses that no host of a lab has


def reply_routes(running: RunningLab, variant: Variant) -> dict[str, dict[str, str]]:
    """For each real server, the next hop of replies to clients elsewhere; no packet is sent."""
    return {
        server.name: {address: _next_hop(running, server, address) for address in _ANYWHERE}
        for server in variant.plan.servers
    }


def _next_hop(running: RunningLab, server: RealServer, client: str) -> str:
    """The gateway or the interface of the httpd's reply to a client, or why there is none."""
    reply = ["to", client, "from", server.address, "ipproto", "tcp", "sport", str(server.http_port)]
    done = running.network.hosts[server.name].run(["ip", "-j", "route", "get", *reply], timeout=2)
    if done.exit_code:
        return done.stderr.strip().removeprefix("RTNETLINK answers: ") or f"exit code {done.exit_code}"
    route: dict[str, str] = json.loads(done.stdout)[0]
    return route.get("gateway") or route.get("dev", "no interface")


def _weighted_rounds(variant: Variant) -> int:
    return whole_rounds(sum(server.weight for server in variant.plan.servers))


def whole_rounds(size: int) -> int:
    """The smallest multiple of `size` that is MIN_REQUESTS or more."""
    return -(-MIN_REQUESTS // size) * size


# ---- judges ----


@needs(requests)
def all_served(observations: Observations, variant: Variant) -> Check:
    """Every connection is served."""
    found = Counter(outcome["how"] for outcome in observations["requests"])
    expected = f"{sum(found.values())} answered"
    return Check(title(all_served), set(found) == {"answered"}, expected, outcomes(found))


@needs(requests)
def fair_shares(observations: Observations, variant: Variant) -> Check:
    """Every real server gets its share."""
    made, servers = observations["requests"], variant.plan.servers
    weights = {server.name: server.weight if variant.scheduler == "wrr" else 1 for server in servers}
    rounds, rest = divmod(len(made), sum(weights.values()))
    least = {name: rounds * weight for name, weight in weights.items()}
    got = Counter(outcome["server"] for outcome in made if outcome["how"] == "answered")
    shares = {name: got.get(name, 0) for name in weights}
    extra = {name: weight if rest else 0 for name, weight in weights.items()}  # in an unfinished round
    fair = rounds > 0 and all(least[name] <= shares[name] <= least[name] + extra[name] for name in weights)
    return Check(title(fair_shares), fair, f"{'at least ' if rest else ''}{listed(least)}", listed(shares))


@needs(other_clients)
def others_served(observations: Observations, variant: Variant) -> Check:
    """Every connection from the other clients is served."""
    by_client: dict[str, dict[str, int]] = observations["other_clients"]["clients"]
    served = bool(by_client) and all(set(counts) == {"answered"} for counts in by_client.values())
    expected = "; ".join(f"{name}: {sum(counts.values())} answered" for name, counts in by_client.items())
    observed = "; ".join(f"{name}: {outcomes(counts)}" for name, counts in by_client.items())
    return Check(title(others_served), served, expected, observed or "no requests")


@needs(other_clients)
def real_client_addresses(observations: Observations, variant: Variant) -> Check:
    """The real servers see the clients' own addresses."""
    known = {node.address for node in variant.plan.nodes(Role.CLIENT)}
    visitors = observations["other_clients"]["visitors"]
    genuine = bool(visitors) and known >= set(visitors)
    expected = f"only {', '.join(sorted(known))}"
    return Check(title(real_client_addresses), genuine, expected, ", ".join(visitors) or "no requests")


@needs(reply_routes)
def every_client_answered(observations: Observations, variant: Variant) -> Check:
    """Replies to clients anywhere return through the director."""
    director = variant.facts["inside"]
    wrong = [
        f"{name} to {client}: {hop}"
        for name, hops in observations["reply_routes"].items()
        for client, hop in hops.items()
        if hop != director
    ]
    passed = bool(observations["reply_routes"]) and not wrong
    return Check(title(every_client_answered), passed, f"by {director}", "; ".join(wrong) or f"by {director}")
