"""VS-TUN: a packet filter drops the director's ICMP message that a packet is too big for the tunnel."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import filter_of_errors
from doctor.state import FilterRule, HostState, LabState

TITLE = "ICMP 'fragmentation needed' is blocked"
VERSIONS = (4,)  # of IP


def find(state: LabState) -> Iterator[Cause]:
    for host, rule in filter_of_errors(state):
        yield _cause(host, rule)


def _cause(host: HostState, rule: FilterRule) -> Cause:
    place = f"{rule.family} {rule.table} {rule.chain}"
    repair = f"nft delete rule {place} handle {rule.handle}"
    if not rule.handle:
        repair = f"nft insert rule {place} icmp type destination-unreachable accept"
    return Cause(
        "icmp_filtered",
        host.name,
        f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}",
        "The tunnel adds 20 bytes, so a client's full-sized packets do not fit. The director answers them "
        "with ICMP (destination unreachable, fragmentation needed). A client that never receives it "
        "retransmits the same large packets: small requests work, large uploads hang.",
        repair,
    )
