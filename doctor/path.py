"""The path of a connection, hop by hop: what each host should do with its packets, and what it does.

    request   client > its router > director, which picks a real server > (TUN: routers) > real server
    reply     NAT: real server > director > router > client; TUN, DR: real server > its router > client

At each hop, in this order: link, address, netmask, route, filter, neighbour; on the director also its
process, rules, weights, thresholds and table; on the real server also the VIP's device, the listening socket
and its process. The plan is compared with the state, without any knowledge of faults, so even an unforeseen
fault is traced to a host. The first difference on a path counts, because the packet does not get past it.
`path_ends` has the director and the real server, `path_hops` the hops between them, `host_checks` what every
host needs.

If nothing differs and clients still fail, `last_seen` (sightings.py) says how far the packets of a trial
came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from doctor.difference import Difference, PathPacket
from doctor.host_checks import INPUT, filtered
from doctor.path_ends import accepts, directs, listens, rule
from doctor.path_hops import carry
from doctor.queries import services_of
from doctor.state import HostState, LabState, Service, Target

# Differences that may be hidden for minutes by entries that are still valid.
_DELAYED = ("ARP", "neighbour discovery", "neighbour", "address")


def differences(state: LabState) -> list[Difference]:
    """The first difference on each path that no trial has shown to work, reported once for all clients.

    On paths that work, only differences that neighbour entries may hide until they expire.
    """
    found: dict[tuple[str, ...], tuple[Difference, dict[str, None]]] = {}
    for port in dict.fromkeys(trial.port for trial in state.client_trials):
        for client in state.by_role("client"):
            for name, path in _of_client(state, client, port):
                if path:
                    about = (text.replace(client.main.address, "") for text in (path.expected, path.observed))
                    found.setdefault((path.host, path.what, *about), (path, {}))[1].setdefault(name)
    return [replace(walk, paths=tuple(paths)) for walk, paths in found.values()]


def _of_client(state: LabState, client: HostState, port: int) -> Iterator[tuple[str, Difference | None]]:
    """A client's paths to the director and, if that works, to the real servers: (name, first difference)."""
    served = [
        trial
        for trial in state.client_trials
        if (trial.host, trial.port) == (client.name, port) and trial.served
    ]
    at_director = next(_to_director(state, client, port), None)
    if at_director:
        yield client.name, _counts(at_director, works=bool(served))
        if not served:
            return
    by = {trial.server for trial in served}
    for service in services_of(state, port):
        for target in service.targets:
            if target.weight > 0 and not target.full:
                server = state.server_name(target.address)
                first = next(_over(state, client, service, target, port), None)
                yield f"{client.name} to {server}", first and _counts(first, works=server in by)


def _counts(difference: Difference, *, works: bool) -> Difference | None:
    return None if works and difference.what not in _DELAYED else difference


def _to_director(state: LabState, client: HostState, port: int) -> Iterator[Difference]:
    director = state.director_host
    request = PathPacket(client.main.address, state.vip, port)
    yield from carry(state, request, client, director)
    yield from directs(state, port)


def _over(
    state: LabState, client: HostState, service: Service, target: Target, port: int
) -> Iterator[Difference]:
    """From the director's rule to the real server, and back to the client."""
    director = state.director_host
    server = _host_of(state, target)
    yield from rule(state, service, target, server)
    target = target if target.port else replace(target, port=port)  # a service for all ports keeps them
    if server is None or server.error:
        return
    address = target.address if state.method == "nat" else state.vip
    if server.name == director.name:  # LocalNode
        yield from listens(state, server, state.vip, port, target)
        yield from carry(state, PathPacket(state.vip, client.main.address, port, True), server, client)
        return
    outer = PathPacket(client.main.address, target.address, target.port)
    if state.method == "tun":
        outer = PathPacket(state.dip, target.address, 0, protocol="ipip")
    yield from carry(state, outer, director, server)
    if state.method == "tun":
        yield from filtered(state, server, outer, INPUT)
    yield from accepts(state, server, PathPacket(client.main.address, address, target.port), target)
    reply = PathPacket(address, client.main.address, target.port, is_reply=True)
    if state.method == "nat":
        yield from carry(state, reply, server, director)
        reply, server = replace(reply, source=state.vip, port=port), director
    yield from carry(state, reply, server, client)


def _host_of(state: LabState, target: Target) -> HostState | None:
    """The host that has the target's address by the plan."""
    if target.address.startswith("127.") or target.address == state.vip:
        return state.director_host
    return next((host for host in state.hosts for plug in host.plugs if plug.address == target.address), None)
