"""A packet filter drops ARP."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, FilterRule, HostState, LabState

TITLE = "a packet filter drops ARP"
VERSIONS = (4,)  # of IP
EXPLAINS = ("director_vip",)

_HOOKS = ("input", "output")


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        rule = next((rule for rule in host.filters if _drops_all(host, rule)), None)
        if rule:
            yield _cause(host, rule)


def _drops_all(host: HostState, rule: FilterRule) -> bool:
    """A rule without conditions, or the policy of a chain in which nothing is accepted."""
    if (rule.family, rule.verdict) != ("arp", "drop") or rule.hook not in _HOOKS or rule.matches:
        return False
    place = (rule.family, rule.table, rule.chain)
    verdicts = (other.verdict for other in host.filters if (other.family, other.table, other.chain) == place)
    return not any(verdict.split(" ")[0] in ("accept", "jump", "goto") for verdict in verdicts)


def _cause(host: HostState, rule: FilterRule) -> Cause:
    place = f"arp {rule.table} {rule.chain}"
    repair = f"nft delete rule {place} handle {rule.handle}"
    if not rule.handle:
        repair = f"nft 'chain {place} {{ policy accept; }}'"
    return Cause(
        "arp_filtered",
        host.name,
        f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}",
        f"{host.name} does not see ARP requests or replies, or sends none: once neighbour entries expire, "
        "its neighbours do not find its MAC address, or it does not find theirs.",
        repair,
    )
