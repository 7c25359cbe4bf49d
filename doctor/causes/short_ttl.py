"""A host sends packets with a TTL (in IPv6, a hop limit) that expires before they arrive."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.routing import without_metrics
from doctor.state import CLIENT, SERVER, HostState, LabState

TITLE = "packets start with a TTL that expires on the way"

_IPV4 = 4
_USUAL = 64


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, SERVER):
        hosts = 1 if state.method != "nat" and host.role == SERVER else 2
        for seen, repair in _short(state, host, hosts):
            yield Cause(
                "short_ttl",
                host.name,
                f"{seen}; hosts that count it down on the way: {hosts}",
                "Every router takes 1 off the TTL and drops the packet at 0; so does the director. Hosts "
                "on the same segment are reached, so a ping of the gateway works.",
                repair,
            )


def _short(state: LabState, host: HostState, hosts: int) -> Iterator[tuple[str, str]]:
    """Evidence and repair, for the host's setting and for a route with its own TTL."""
    setting = "ip_default_ttl" if state.version == _IPV4 else f"conf.{host.main.interface}.hop_limit"
    ttl = host.settings.get(setting, _USUAL)
    ends = {state.vip} if host.role == CLIENT else {plug.address for plug in state.clients}
    hops = [hop for hop in host.next_hops if hop.target in ends]
    if ttl <= hosts and not (hops and all(hop.hoplimit for hop in hops)):
        yield f"{setting} is {ttl}", f"sysctl -w net.ipv{state.version}.{setting}={_USUAL}"
    for hop in hops:
        if 0 < hop.hoplimit <= hosts:
            repair = "\n".join(without_metrics(host, hop.target))
            yield f"the route to {hop} has hoplimit {hop.hoplimit}", repair
            return
