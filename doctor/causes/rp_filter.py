"""A host drops packets whose source it would reach through another interface (rp_filter)."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import ROUTER, SERVER, HostState, LabState

TITLE = "the reverse-path filter drops packets"
EXPLAINS = ("local_route",)
VERSIONS = (4,)  # of IP

_STRICT = 1
_TUNNEL = "tunl0"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(SERVER, ROUTER):
        for interface, source in _arrivals(state, host):
            next_hop = host.next_hop(source)
            strict = host.setting("rp_filter", interface) == _STRICT
            if strict and next_hop.interface and next_hop.interface != interface:
                yield _cause(host, interface, source)
                break


def _arrivals(state: LabState, host: HostState) -> Iterator[tuple[str, str]]:
    """The interfaces on which packets of the virtual server arrive, with one of their sources."""
    if host.role == ROUTER:
        servers = {server.main.switch for server in state.by_role(SERVER)} if state.method != "nat" else set()
        yield from ((plug.interface, state.vip) for plug in host.plugs if plug.switch in servers)
        return
    interface = _TUNNEL if state.method == "tun" else host.main.interface
    yield from ((interface, client.address) for client in state.clients)


def _cause(host: HostState, interface: str, source: str) -> Cause:
    what = "decapsulated requests" if interface == _TUNNEL else "packets"
    strict = [name for name in ("all", interface) if host.settings.get(f"conf.{name}.rp_filter") == _STRICT]
    return Cause(
        "rp_filter",
        host.name,
        f"{host.setting_text('rp_filter', 'all', interface)}: the larger counts; "
        f"the route to {host.next_hop(source)}"
        f"{host.counter_text('TcpExtIPReversePathFilter')}",
        f"With 1, a host accepts a packet only on the interface through which it would answer. Here {what} "
        f"from {source} arrive on {interface}, and the return route is through "
        f"{host.next_hop(source).interface}: they are dropped, although a capture shows them.",
        "\n".join(f"sysctl -w net.ipv4.conf.{name}.rp_filter=0" for name in strict),
    )
