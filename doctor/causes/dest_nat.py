"""A router, a client or a real server changes the destination of requests to an address of another host."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import leads_to, redirection, suspect_redirection
from doctor.queries import HTTP, ends_at, request_packet, served_port
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, FilterRule, HostState, LabState

TITLE = "destination NAT sends requests elsewhere"

_HOOKS = {CLIENT: "output", ROUTER: "prerouting", DIRECTOR: "prerouting", SERVER: "prerouting"}


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        if host.role == DIRECTOR and not state.director.is_kernel_ipvs:
            continue
        # A rule that depends on a rate or a random number counts only where a trial ended.
        redirects = suspect_redirection if ends_at(state, host) else redirection
        for client in (host.main,) if host.role == CLIENT else state.clients:
            address, port = _dest(state, host)
            rule = redirects(host.filters, request_packet(client.address, address, port), _HOOKS[host.role])
            if rule and not (host.role == SERVER and _stays(host, rule)):
                yield _cause(host, rule, address)
                break


def _dest(state: LabState, host: HostState) -> tuple[str, int]:
    """The destination address and port of a request at that host."""
    server = next((server for server in state.servers if server.name == host.name), None)
    port = served_port(state, server) if server else HTTP
    return (host.main.address if server and state.method == "nat" else state.vip), port


def _stays(host: HostState, rule: FilterRule) -> bool:
    """Whether a real server keeps the request: on another port, or at another of its addresses."""
    address, _ = leads_to(rule)
    return not address or host.has(address) is not None


def _cause(host: HostState, rule: FilterRule, address: str) -> Cause:
    place = f"{rule.family} {rule.table} {rule.chain}"
    return Cause(
        "dest_nat",
        host.name,
        f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}",
        f"Requests for {address} leave {host.name} for another address: they bypass the path that the method "
        "prescribes, and are answered there, if at all.",
        f"nft delete rule {place} handle {rule.handle}",
    )
