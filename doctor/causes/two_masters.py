"""Two directors own the VIP: neither hears the other."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import suspects
from doctor.queries import advertisement, link_locals, restart_takeover, takeover_of
from doctor.state import FilterRule, HostState, LabState

TITLE = "both directors own the VIP"
EXPLAINS = ("slow_link",)

_PLAIN = ("", "noqueue")  # queueing disciplines that drop nothing
_OWN_FILTER = "ebpf"  # the engine that is itself a traffic-control filter


def find(state: LabState) -> Iterator[Cause]:
    hosts = [host for host, _, _ in state.directors if host.name in state.vip_owners]
    stopped = any(process.stopped for host in hosts for process in takeover_of(host))
    if len(hosts) < 2 or stopped or any(director.differences for director in state.pair):
        return
    both = " and ".join(f"{host.name} has {host.has(state.vip)}" for host in hosts)
    found = False
    for host, sender in ((hosts[0], hosts[1]), (hosts[1], hosts[0])):
        obstacles = dict(_obstacles(state, host, sender))
        if obstacles:
            found = True
            yield _cause(state, host, "; ".join((both, *obstacles)), "\n".join(obstacles.values()))
    if not found:
        other = next((host for host in hosts if host.name != state.active), hosts[-1])
        why = f"{both}; nothing on either of them keeps advertisements out"
        yield _cause(state, other, why, "\n".join(restart_takeover(other)))


def _obstacles(state: LabState, host: HostState, sender: HostState) -> Iterator[tuple[str, str]]:
    """What may block advertisements or heartbeats to or from the host, and the command that removes it."""
    rule = _filter(state, host, sender)
    if rule:
        place = f"table {rule.family} {rule.table}, chain {rule.chain}"
        yield f"{place}: {rule.text or rule.verdict}", _undo(rule)
    link = host.link(host.main.interface)
    if link and link.qdisc not in _PLAIN:
        yield (
            f"{link.interface} has the queueing discipline {link.qdisc}",
            f"tc qdisc del dev {link.interface} root",
        )
    if state.director.engine != _OWN_FILTER:
        for hook in host.traffic_filters:
            if hook.interface == host.main.interface:
                where = f"at {hook.hook} of {hook.interface}"
                yield f"{where}: {hook.text}", f"tc filter del dev {hook.interface} {hook.hook}"


def _filter(state: LabState, host: HostState, sender: HostState) -> FilterRule | None:
    """The rule that may drop advertisements or heartbeats to or from the host."""
    protocol = "vrrp" if any(director.settings for director in state.pair) else "heartbeat"
    for source, hooks in ((sender, ("ingress", "prerouting", "input")), (host, ("output", "postrouting"))):
        packet = advertisement(_source(source), protocol)
        rule = next(suspects(host.filters, packet, *hooks), None)
        if rule:
            return rule
    return None


def _source(host: HostState) -> str:
    """The source address of advertisements: in IPv6 the link-local one."""
    address = host.main.address
    return next(link_locals(host, host.main), address) if ":" in address else address


def _undo(rule: FilterRule) -> str:
    if not rule.handle:
        return f"nft chain {rule.family} {rule.table} {rule.chain} '{{ policy accept; }}'"
    return f"nft delete rule {rule.family} {rule.table} {rule.chain} handle {rule.handle}"


def _cause(state: LabState, host: HostState, evidence: str, repair: str) -> Cause:
    return Cause(
        "two_masters",
        host.name,
        evidence,
        f"A backup that hears no sign of life takes the other director for dead and puts up {state.vip}, "
        "although the other still has it. The router sends to the one that claimed it last; the connections "
        "of one are unknown to the other, and neither listens to what the other sends about them.",
        repair,
        state.vip_owners,
    )
