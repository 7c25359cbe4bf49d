"""Neighbours: health checks of real servers, hosts that answer ARP for them, permanent entries."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from classroom.checks import listed, needs, title
from classroom.checks.arp import ROUTER, router_interface
from classroom.checks.service import send_requests, whole_rounds
from classroom.model import Observations, Variant
from labs.checks.result import Check
from labs.hosts.host import probe
from labs.network.topology import Role
from labs.plan import RealServer
from labs.run.running import RunningLab
from labs.wait import patient, poll_until

_DIRECTOR = "d"
_ARRIVED = 1.0  # seconds for all ARP replies
_ANSWERED = 1.2  # for a page

# ---- probes ----


def health_checks(running: RunningLab, variant: Variant) -> dict[str, dict[str, bool]]:
    """Whether each real server serves a page at its own address to the director and to the router."""

    def healthy(asker: str, server: RealServer) -> bool:
        url = f"http://{server.address}:{server.http_port}/name"
        asking = ["curl", "-q", "-s", "--max-time", f"{patient(_ANSWERED):g}", url]
        done = running.network.hosts[asker].run(asking, timeout=2 * _ANSWERED)
        return done.exit_code == 0 and done.stdout.strip() == server.name

    servers, askers = variant.plan.servers, (_DIRECTOR, ROUTER)
    with ThreadPoolExecutor(len(servers) * len(askers)) as pool:
        asked = {asker: [pool.submit(healthy, asker, server) for server in servers] for asker in askers}
        return {
            asker: {server.name: answer.result() for server, answer in zip(servers, answers, strict=True)}
            for asker, answers in asked.items()
        }


def server_answers(running: RunningLab, variant: Variant) -> dict[str, list[str]]:
    """The interfaces that reply when the router asks for each real server's own address, by its name."""
    names, since = variant.plan.topology.names_of_macs, running.controller.forget_arp()
    addresses = {server.address: server.name for server in variant.plan.servers}

    def replies() -> set[tuple[str, str]]:
        claims = running.controller.arp(since)
        found = ((claim.sender_ip, claim.sender_mac) for claim in claims if claim.operation == "reply")
        return {(address, mac) for address, mac in found if address in addresses}

    asker = router_interface(variant)
    # Each address is asked for twice: when the second replies arrive, all first ones have arrived.
    asking = probe("arp", asker.name, asker.address, *addresses, *addresses)
    running.network.hosts[ROUTER].run(asking, timeout=2)
    replied = poll_until(replies, lambda now: {address for address, _ in now} == set(addresses), _ARRIVED)
    answers: dict[str, list[str]] = {name: [] for name in addresses.values()}
    for address, mac in sorted(replied):
        answers[addresses[address]].append(names.get(mac, mac))
    return answers


def server_shares(running: RunningLab, variant: Variant) -> list[dict[str, int]]:
    """The shares of whole rounds if the director believes each ARP reply for a real server in turn.

    If only one interface replies, it first announces itself: otherwise the director would keep an entry from
    before a repair for half a minute.
    """
    addresses = {server.name: server.address for server in variant.plan.servers}
    answers = server_answers(running, variant)
    single = {name: interfaces[0] for name, interfaces in answers.items() if len(interfaces) == 1}
    with ThreadPoolExecutor(len(addresses)) as pool:
        list(pool.map(lambda name: _announce(running, single[name], addresses[name], variant), single))
    paths = []
    for name in answers.keys() - single.keys():
        for interface in answers[name]:
            _announce(running, interface, addresses[name], variant)
            paths.append(_served(running, variant))
    return paths or [_served(running, variant)]


def _announce(running: RunningLab, interface: str, address: str, variant: Variant) -> None:
    """Ask for the director's MAC address from `address`, as any host does: the director learns the sender."""
    host = interface.partition("-")[0]
    if host in running.network.hosts:
        asking = probe("arp", interface, address, variant.plan.addresses.dip)
        running.network.hosts[host].run(asking, timeout=2)


def _served(running: RunningLab, variant: Variant) -> dict[str, int]:
    made = send_requests(running.clients[0], 80, whole_rounds(len(variant.plan.servers)))
    return dict(Counter(outcome.get("server", outcome["how"]) for outcome in made))


def fixed_neighbours(running: RunningLab, variant: Variant) -> dict[str, list[str]]:
    """By host, the addresses with permanent neighbour entries, which no ARP reply can change."""
    hosts = [*(node.name for node in variant.plan.nodes(Role.ROUTER)), *variant.hosts("servers")]
    show = ["ip", "-j", "neigh", "show", "nud", "permanent"]
    with ThreadPoolExecutor(4) as pool:
        shown = pool.map(lambda name: running.network.hosts[name].run(show, timeout=2).stdout, hosts)
        entries = {name: json.loads(text or "[]") for name, text in zip(hosts, shown, strict=True)}
    return {name: sorted(entry["dst"] for entry in found) for name, found in entries.items() if found}


# ---- judges ----


@needs(health_checks)
def all_healthy(observations: Observations, variant: Variant) -> Check:
    """Every real server serves a page to its neighbours: the director's health check, and the router."""
    found: Mapping[str, Mapping[str, bool]] = observations["health_checks"]
    silent = [
        f"{name} to {asker}" for asker, names in found.items() for name, given in names.items() if not given
    ]
    observed = f"none from {', '.join(silent)}" if silent else "a page from each"
    return Check(title(all_healthy), bool(found) and not silent, "a page from each", observed)


@needs(server_answers)
def one_owner_each(observations: Observations, variant: Variant) -> Check:
    """Only its own host answers ARP for a real server's address."""
    found: Mapping[str, list[str]] = observations["server_answers"]
    wrong = {name: answers for name, answers in found.items() if answers != [f"{name}-eth0"]}
    observed = "; ".join(
        f"the address of {name}: {' and '.join(answers) or 'no reply'}" for name, answers in wrong.items()
    )
    expected = "the server's own interface"
    return Check(title(one_owner_each), bool(found) and not wrong, expected, observed or expected)


@needs(server_shares)
def fair_for_every_owner(observations: Observations, variant: Variant) -> Check:
    """Every real server gets its share, whichever ARP reply the director has believed."""
    names, paths = [server.name for server in variant.plan.servers], observations["server_shares"]
    for served in paths:
        expected = dict.fromkeys(names, sum(served.values()) // len(names))
        if served != expected:
            observed = listed(dict(sorted(served.items())))
            return Check(title(fair_for_every_owner), False, listed(expected), observed)
    equal = "the same share for every server"
    return Check(title(fair_for_every_owner), bool(paths), equal, equal if paths else "no requests")


@needs(fixed_neighbours)
def neighbours_learnt(observations: Observations, variant: Variant) -> Check:
    """Routers and real servers learn MAC addresses by ARP, so that any of them may change."""
    fixed = observations["fixed_neighbours"]
    observed = "; ".join(f"{name} has a permanent entry for {', '.join(fixed[name])}" for name in fixed)
    return Check(title(neighbours_learnt), not fixed, "all entries learnt", observed or "all entries learnt")
