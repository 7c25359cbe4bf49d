"""A packet filter changes header fields of requests or replies, such as the TTL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from doctor.causes import Cause
from doctor.causes.port_filtered import passing
from doctor.nftables import Packet, changes, may_change
from doctor.routing import policy_text
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, FilterRule, HostState, LabState

TITLE = "a packet filter changes packets"

_NOTES = ("mark", "ct mark", "priority", "pkttype")  # what the kernel notes about a packet, not in it


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER) if state.troubled else ():
        for what, packet, hooks in passing(state, host):
            rule = changes(host.filters, packet, *hooks) or _marking(host, packet, hooks)
            if rule:
                place = f"{rule.family} {rule.table} {rule.chain}"
                yield Cause(
                    "packet_mangled",
                    host.name,
                    f"nftables, chain {place} at {rule.hook}: {rule.text}"
                    f"{policy_text(host) if _is_note(rule) else ''}",
                    f"The rule sets {' and '.join(rule.changes)} of {what} of the service. "
                    f"{_effect(host, rule)}",
                    f"nft delete rule {place} handle {rule.handle}",
                )
                break


def _marking(host: HostState, packet: Packet, hooks: Sequence[str]) -> FilterRule | None:
    """A rule that may set a mark, as by the packet's length, on a host whose policy rules look at it."""
    if not any("fwmark" in rule.text for rule in host.rules):
        return None
    found = (
        rule for rule in may_change(host.filters, packet, *hooks) if {"mark", "ct mark"} & set(rule.changes)
    )
    return next(found, None)


def _is_note(rule: FilterRule) -> bool:
    return set(rule.changes) <= set(_NOTES)


def _effect(host: HostState, rule: FilterRule) -> str:
    if _is_note(rule):
        return (
            f"The packets stay as they are: this is a note of {host.name}'s kernel, by which policy rules "
            "(ip rule fwmark), queues and virtual services choose."
        )
    return (
        f"Behind {host.name} they are other packets than those that were sent: a TTL of 1 expires at the "
        "next hop, another address or port belongs to another connection, and options of TCP, such as the "
        "segment size, tell the other end what its peer has not said."
    )
