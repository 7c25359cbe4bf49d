"""Checks of a path's ends: a director that picks a real server, and a program that answers there."""

from __future__ import annotations

from collections.abc import Iterator

from director.formats.ipvsadm_words import endpoint
from doctor.difference import Difference, PathPacket
from doctor.host_checks import INPUT, filtered, link, reverse_path
from doctor.nftables import redirection
from doctor.queries import METHODS, option, services_of, tunnel
from doctor.routing import policy_text
from doctor.state import HostState, LabState, Process, Service, Target


def directs(state: LabState, port: int) -> Iterator[Difference]:
    """The director's process, and a service with a real server that accepts connections."""
    name, director = state.director_host.name, state.director
    if director.error:
        yield _no_director(name, state.director_process)
    services = services_of(state, port)
    wanted = f"a service for TCP {endpoint(state.vip, port)} with real servers"
    if not services:
        yield Difference(name, "rule", wanted, "no service for that port", "ipvsadm -Ln")
    for service in services:
        if not service.targets:
            yield Difference(name, "rule", wanted, f"{service} has no real server", "ipvsadm -Ln")
        elif all(target.weight == 0 for target in service.targets):
            yield Difference(
                name,
                "weight",
                f"{service} has a real server with a weight above 0",
                "all have weight 0, so no new connection is accepted",
                "ipvsadm -Ln",
            )
        elif all(target.weight == 0 or target.full for target in service.targets):
            full = ", ".join(
                f"{target} {target.active + target.inactive} of {target.upper}" for target in service.targets
            )
            yield Difference(
                name,
                "threshold",
                f"a real server of {service} is below its upper threshold",
                f"connections: {full}",
                "ipvsadm -Ln --thresholds",
            )
    if director.full:
        yield Difference(
            name,
            "table",
            f"fewer than {director.limit} entries in the connection table",
            f"{director.entries} entries",
            "ipvsadm -Lcn | wc -l",
        )


def _no_director(name: str, process: Process | None) -> Difference:
    expected = "a director that runs and answers on its control socket"
    if process is None:
        return Difference(name, "process", expected, "no director is running", "cat start.sh")
    look = f"ps -o pid,stat,args -p {process.pid}"
    if process.stopped:
        observed = f"process {process.pid} is stopped (state {process.state})"
        return Difference(name, "process", expected, observed, look)
    return Difference(name, "process", expected, f"process {process.pid} does not answer", look)


def rule(state: LabState, service: Service, target: Target, server: HostState | None) -> Iterator[Difference]:
    name = state.director_host.name
    place = f"{option(service)} -r {target}"
    if server is None:
        known = ", ".join(f"{planned.name} {planned.address}" for planned in state.servers)
        yield Difference(
            name,
            "rule",
            f"the address of a real server: {known}",
            f"{place}, which no host has",
            "ipvsadm -Ln",
        )
        return
    right = METHODS[state.method]
    if target.method not in ("", "Local", right):
        yield Difference(
            name, "rule", f"forwarding method {right}", f"{place} has {target.method}", "ipvsadm -Ln"
        )


def accepts(state: LabState, server: HostState, request: PathPacket, target: Target) -> Iterator[Difference]:
    """Checks of a request that has arrived on the wire: device, address, filter, socket, process."""
    inbound = server.main.interface
    if state.method == "tun":
        inbound = tunnel(state)
        yield from _decapsulates(server, inbound)
    hop = server.next_hop(request.dest, request.source, inbound)
    if not server.has(request.dest) and not server.takes(request.dest):
        down = next((address for address in server.addresses if address.address == request.dest), None)
        where = f" on {server.planned.vip_on}" if server.planned.vip_on and state.method != "nat" else ""
        yield Difference(
            server.name,
            "address",
            f"{request.dest} is an address of {server.name}{where}",
            f"it has {down}" if down else f"{server.name} does not have it",
            "ip address show",
        )
    yield from reverse_path(server, request, inbound, hop)
    yield from filtered(state, server, request, INPUT)
    if server.next_hops and not hop.local:
        yield Difference(
            server.name,
            "route",
            f"{request} from {request.source} on {inbound} are delivered to its own sockets",
            f"{hop if hop.interface else 'the kernel drops them'}{policy_text(server)}",
            f"ip route get {request.dest} from {request.source} iif {inbound}; ip rule show",
        )
    if not redirection(server.filters, request.facts):
        yield from listens(state, server, request.dest, target.port, target)


def _decapsulates(server: HostState, device: str) -> Iterator[Difference]:
    yield from link(server, device)
    for process in server.processes:
        if process.stopped and process.tunnel:
            yield Difference(
                server.name,
                "process",
                f"the program behind {device} runs",
                f"process {process.pid} is stopped (state {process.state}): nothing is decapsulated",
                f"ps -o pid,stat,args -p {process.pid}",
            )


def listens(
    state: LabState, server: HostState, address: str, port: int, target: Target
) -> Iterator[Difference]:
    found = server.listener(address, port)
    if found is None:
        others = sorted({listener.port for listener in server.listeners if listener.protocol == "TCP"})
        at = ", ".join(map(str, others)) or "none"
        right = [number for number in server.planned.ports if server.listens(address, number)]
        if right and port not in server.planned.ports:
            yield Difference(
                state.director_host.name,
                "rule",
                f"a port that {server.name} serves: {', '.join(map(str, right))}",
                f"a rule for {target}",
                "ipvsadm -Ln",
            )
        yield Difference(
            server.name,
            "socket",
            f"a program listens on TCP {endpoint(address, port)}",
            f"none does; TCP ports with a listener: {at}",
            "ss -ltnp",
        )
    elif found.stopped:
        yield _stopped(server.name, found.pid, found.program, found.process_state)


def _stopped(host: str, pid: int, program: str, state: str) -> Difference:
    return Difference(
        host,
        "process",
        f"{program} runs",
        f"process {pid} is stopped (state {state}): connections are accepted, and nothing answers",
        f"ps -o pid,stat,args -p {pid}",
    )
