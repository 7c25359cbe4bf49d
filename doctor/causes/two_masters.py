"""Two directors own the VIP: neither hears the other."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import dropped
from doctor.queries import takeover_of
from doctor.state import FilterRule, HostState, LabState

TITLE = "both directors own the VIP"
EXPLAINS = ("slow_link",)

_GROUP = "224.0.0.18"
_PROTOCOL = ("vrrp", 112)
_PLAIN = ("", "noqueue")  # queueing disciplines that drop nothing


def find(state: LabState) -> Iterator[Cause]:
    hosts = [host for host, _, _ in state.directors if host.name in state.vip_owners]
    stopped = any(process.stopped for host in hosts for process in takeover_of(host))
    if len(hosts) < 2 or stopped or any(one.differences for one in state.pair):
        return
    both = " and ".join(f"{host.name} has {host.has(state.vip)}" for host in hosts)
    found = False
    for host, sender in ((hosts[0], hosts[1]), (hosts[1], hosts[0])):
        rule = _filter(host, sender)
        link = host.link(host.main.interface)
        if rule:
            found = True
            shown = f"table {rule.family} {rule.table}, chain {rule.chain}: {rule.text or rule.verdict}"
            yield _cause(state, host, f"{both}; {shown}", _undo(rule))
        elif link and link.qdisc not in _PLAIN:
            found = True
            shown = f"{link.interface} has the queueing discipline {link.qdisc}"
            yield _cause(state, host, f"{both}; {shown}", f"tc qdisc del dev {link.interface} root")
    if not found:
        other = next((host for host in hosts if host.name != state.active), hosts[-1])
        look = f"tcpdump -c 4 -ni {other.main.interface} vrrp or udp port 694"
        yield _cause(state, other, both, f"# who of both is heard here: {look}")


def _filter(host: HostState, sender: HostState) -> FilterRule | None:
    """The rule that keeps advertisements from arriving at the host, or from leaving it."""
    for source, hooks in ((sender, ("ingress", "prerouting", "input")), (host, ("output", "postrouting"))):
        packet = {
            "ip saddr": source.main.address,
            "ip daddr": _GROUP,
            "l4proto": _PROTOCOL,
            "ip protocol": _PROTOCOL,
        }
        rule = dropped(host.filters, packet, *hooks)
        if rule:
            return rule
    return None


def _undo(rule: FilterRule) -> str:
    if not rule.handle:
        return f"nft chain {rule.family} {rule.table} {rule.chain} '{{ policy accept; }}'"
    return f"nft delete rule {rule.family} {rule.table} {rule.chain} handle {rule.handle}"


def _cause(state: LabState, host: HostState, seen: str, repair: str) -> Cause:
    return Cause(
        "two_masters",
        host.name,
        seen,
        f"A backup that hears no sign of life takes the other director for dead and puts up {state.vip}, "
        "although the other still has it. The router sends to the one that claimed it last; the connections "
        "of one are unknown to the other, and neither listens to what the other sends about them.",
        repair,
    )
