"""A host on the path changes the source address of requests."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import translation
from doctor.queries import HTTP, request_packet
from doctor.state import DIRECTOR, ROUTER, FilterRule, HostState, LabState

TITLE = "source NAT changes the clients' addresses"

_MASQUERADE = "masquerade"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(ROUTER, DIRECTOR):
        if host.role == DIRECTOR and not state.director.is_kernel_ipvs:
            continue
        for client in state.clients:
            packet = {**request_packet(client.address, state.vip, HTTP), "oifname": host.plugs[-1].interface}
            rule = translation(host.filters, packet)
            if rule and _hurts(host, rule):
                yield _cause(host, rule)
                break


def _hurts(host: HostState, rule: FilterRule) -> bool:
    """Whether it hurts: a router that uses its own address restores replies, so clients are served."""
    how, _, address = rule.verdict.partition(" ")
    if host.role == DIRECTOR:
        return True
    return how != _MASQUERADE and not host.has(address)


def _cause(host: HostState, rule: FilterRule) -> Cause:
    place = f"{rule.family} {rule.table} {rule.chain}"
    return Cause(
        "source_nat",
        host.name,
        f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}",
        f"Requests leave {host.name} with another source than the client's. Real servers answer that "
        "address: the reply does not reach the client, or not through the host that knows how to change "
        "it back.",
        f"nft delete rule {place} handle {rule.handle}",
    )
