"""A router or a client changes the destination of requests."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import redirection
from doctor.queries import HTTP, request_packet
from doctor.state import CLIENT, DIRECTOR, ROUTER, FilterRule, HostState, LabState

TITLE = "destination NAT sends requests elsewhere"

_KERNEL = "ipvs"  # the engine whose packets pass the host's own packet filter
_HOOKS = {CLIENT: "output", ROUTER: "prerouting", DIRECTOR: "prerouting"}


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR):
        if host.role == DIRECTOR and state.director.engine != _KERNEL:
            continue
        for client in (host.main,) if host.role == CLIENT else state.clients:
            packet = request_packet(client.address, state.vip, HTTP)
            rule = redirection(host.filters, packet, _HOOKS[host.role])
            if rule:
                yield _cause(state, host, rule)
                break


def _cause(state: LabState, host: HostState, rule: FilterRule) -> Cause:
    place = f"{rule.family} {rule.table} {rule.chain}"
    return Cause(
        "dest_nat",
        host.name,
        f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}",
        f"Requests for {state.vip} leave {host.name} for another address: they bypass the director, and "
        "are answered there, if at all.",
        f"nft delete rule {place} handle {rule.handle}",
    )
