"""A packet filter drops ARP or, in IPv6, neighbour discovery."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import dropped
from doctor.queries import neighbour_packet
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, FilterRule, HostState, LabState

TITLE = "a packet filter drops ARP, or neighbour discovery"
EXPLAINS = ("director_vip",)

_IPV4 = 4
_HOOKS = ("input", "output")
_IN, _OUT = ("ingress", "prerouting", "input"), ("output", "postrouting", "egress")
_MESSAGES = {4: "ARP requests or replies", 6: "neighbour solicitations or advertisements"}


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        of_arp = next((rule for rule in host.filters if _drops_all(host, rule)), None)
        rule = of_arp if state.version == _IPV4 else _of_neighbour_discovery(state, host)
        if rule:
            yield _cause(host, rule)


def _of_neighbour_discovery(state: LabState, host: HostState) -> FilterRule | None:
    """The rule that drops neighbour solicitations or advertisements, if that hurts anybody."""
    for plug in host.plugs if state.troubled else ():
        for kind in ("solicit", "advert"):
            for end, hooks in (("iifname", _IN), ("oifname", _OUT)):
                rule = dropped(host.filters, {**neighbour_packet(kind), end: plug.interface}, *hooks)
                if rule:
                    return rule
    return None


def _drops_all(host: HostState, rule: FilterRule) -> bool:
    """A rule without conditions, or the policy of a chain in which nothing is accepted."""
    if (rule.family, rule.verdict) != ("arp", "drop") or rule.hook not in _HOOKS or rule.matches:
        return False
    place = (rule.family, rule.table, rule.chain)
    verdicts = (other.verdict for other in host.filters if (other.family, other.table, other.chain) == place)
    return not any(verdict.split(" ")[0] in ("accept", "jump", "goto") for verdict in verdicts)


def _cause(host: HostState, rule: FilterRule) -> Cause:
    place = f"{rule.family} {rule.table} {rule.chain}"
    repair = f"nft delete rule {place} handle {rule.handle}"
    if not rule.handle:
        repair = f"nft 'chain {place} {{ policy accept; }}'"
    return Cause(
        "arp_filtered",
        host.name,
        f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}",
        f"{host.name} does not see {_MESSAGES[host.version]}, or sends none: once neighbour entries expire, "
        "its neighbours do not find its MAC address, or it does not find theirs.",
        repair,
    )
