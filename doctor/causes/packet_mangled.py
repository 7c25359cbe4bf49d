"""A packet filter changes header fields of requests or replies, such as the TTL."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.causes.port_filtered import passing
from doctor.nftables import changes
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, LabState

TITLE = "a packet filter changes packets"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER) if state.troubled else ():
        for what, packet, hooks in passing(state, host):
            rule = changes(host.filters, packet, *hooks)
            if rule:
                place = f"{rule.family} {rule.table} {rule.chain}"
                yield Cause(
                    "packet_mangled",
                    host.name,
                    f"nftables, chain {place} at {rule.hook}: {rule.text}",
                    f"The rule sets {' and '.join(rule.changes)} of {what} of the service. Behind "
                    f"{host.name} they are other packets than those that were sent: a TTL of 1 expires at "
                    "the next hop, and another address or port belongs to another connection.",
                    f"nft delete rule {place} handle {rule.handle}",
                )
                break
