"""The path of a connection, hop by hop: what each host should do with its packets, and what it would do.

    request   client > its router > director, which picks a real server > (TUN: routers) > real server
    reply     NAT: real server > director > router > client; TUN, DR: real server > its router > client

At each hop, in this order: link, address, netmask, route, filter, neighbour; on the director also its
process, rules, weights, thresholds and table; on the real server also the device of the VIP, the listening
socket and its process. What should be follows from the plan, what is from the state: nothing here knows
faults, so one that no one has thought of still ends at a host. The first difference on a path counts: behind
it, the packet would not arrive.

Where nothing differs and clients fail all the same, `last_seen` (sightings.py) says how far the packets of a
trial came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from director.formats.ipvsadm_words import endpoint
from doctor.nftables import Packet, dropped, redirection
from doctor.queries import (
    METHODS,
    is_silenced,
    link_locals,
    option,
    outer_packet,
    reply_packet,
    request_packet,
    services_of,
    tunnel,
)
from doctor.routing import longest, next_hop
from doctor.state import (
    HostState,
    LabState,
    Neighbour,
    NextHop,
    Plug,
    Process,
    Service,
    Target,
)

_HOPS = 8
_STRICT = 1  # rp_filter
_IN, _THROUGH, _OUT = ("ingress", "prerouting", "input"), ("ingress", "prerouting", "forward"), ("output",)
_LAST = "postrouting"
_RESOLUTION = {4: "ARP", 6: "neighbour discovery"}  # by version of IP
_REQUESTS = {4: "ARP requests", 6: "neighbour solicitations"}
_CLAIMS = {4: "ARP packets", 6: "neighbour advertisements"}
# Differences that may be hidden for minutes by entries that are still valid.
_DELAYED = (*_RESOLUTION.values(), "neighbour", "address")


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a host differs from what a path needs, in `what`: link, route, filter, socket, rule ...

    `look` is a command for that host; `paths` are those that end here, such as `c1 to rs1`.
    """

    host: str
    what: str
    expected: str
    observed: str
    look: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Packet:
    """A TCP packet, or an IPIP one around it; a reply's `port` is its source port."""

    source: str
    dest: str
    port: int
    is_reply: bool = False
    protocol: str = "tcp"

    @property
    def facts(self) -> Packet:
        """As packet filters see it."""
        if self.protocol != "tcp":
            return outer_packet(self.source, self.dest)
        make = reply_packet if self.is_reply else request_packet
        return make(self.source, self.dest, self.port)

    def __str__(self) -> str:
        if self.protocol != "tcp":
            return f"IPIP packets for {self.dest}"
        if self.is_reply:
            return f"replies to {self.dest}"
        return f"requests for {endpoint(self.dest, self.port)}"


def differences(state: LabState) -> list[Difference]:
    """The first difference of each path that no trial has shown to work; once for all clients.

    Of paths that work, only what neighbour entries may hide until they expire.
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
    """A client's paths to the director and, if that works, to the real servers: names, and what is wrong."""
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


# ---- the parts of a path: each yields differences in order, of which the first counts ----


def _to_director(state: LabState, client: HostState, port: int) -> Iterator[Difference]:
    director = state.director_host
    request = _Packet(client.main.address, state.vip, port)
    yield from _carry(state, request, client, director)
    yield from _directs(state, port)


def _over(
    state: LabState, client: HostState, service: Service, target: Target, port: int
) -> Iterator[Difference]:
    """From the director's rule to the real server, and back to the client."""
    director = state.director_host
    server = _host_of(state, target)
    yield from _rule(state, service, target, server)
    target = target if target.port else replace(target, port=port)  # a service for all ports keeps them
    if server is None or server.error:
        return
    address = target.address if state.method == "nat" else state.vip
    if server.name == director.name:  # LocalNode
        yield from _listens(state, server, state.vip, port, target)
        yield from _carry(state, _Packet(state.vip, client.main.address, port, True), server, client)
        return
    outer = _Packet(client.main.address, target.address, target.port)
    if state.method == "tun":
        outer = _Packet(state.dip, target.address, 0, protocol="ipip")
    yield from _carry(state, outer, director, server)
    if state.method == "tun":
        yield from _filtered(state, server, outer, _IN)
    yield from _accepts(state, server, _Packet(client.main.address, address, target.port), target)
    reply = _Packet(address, client.main.address, target.port, is_reply=True)
    if state.method == "nat":
        yield from _carry(state, reply, server, director)
        reply, server = replace(reply, source=state.vip, port=port), director
    yield from _carry(state, reply, server, client)


def _host_of(state: LabState, target: Target) -> HostState | None:
    """Who has the address by the plan."""
    if target.address.startswith("127.") or target.address == state.vip:
        return state.director_host
    return next((host for host in state.hosts for plug in host.plugs if plug.address == target.address), None)


# ---- the director ----


def _directs(state: LabState, port: int) -> Iterator[Difference]:
    """Its process, and a service that has a real server to give."""
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


def _rule(
    state: LabState, service: Service, target: Target, server: HostState | None
) -> Iterator[Difference]:
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


# ---- real servers ----


def _accepts(state: LabState, server: HostState, request: _Packet, target: Target) -> Iterator[Difference]:
    """The request has arrived on the wire: device, address, filter, socket, process."""
    inbound = server.main.interface
    if state.method == "tun":
        inbound = tunnel(state)
        yield from _decapsulates(server, inbound)
    hop = server.next_hop(request.dest, request.source, inbound)
    if not server.has(request.dest):
        down = next((address for address in server.addresses if address.address == request.dest), None)
        where = f" on {server.planned.vip_on}" if server.planned.vip_on and state.method != "nat" else ""
        yield Difference(
            server.name,
            "address",
            f"{request.dest} is an address of {server.name}{where}",
            f"it has {down}" if down else "it is none of its addresses",
            "ip address show",
        )
    yield from _reverse_path(server, request, inbound, hop)
    yield from _filtered(state, server, request, _IN)
    if server.next_hops and not hop.local:
        yield Difference(
            server.name,
            "route",
            f"{request} from {request.source} on {inbound} are delivered to its own sockets",
            str(hop) if hop.interface else "the kernel drops them",
            f"ip route get {request.dest} from {request.source} iif {inbound}",
        )
    if not redirection(server.filters, request.facts):
        yield from _listens(state, server, request.dest, target.port, target)


def _decapsulates(server: HostState, device: str) -> Iterator[Difference]:
    yield from _link(server, device)
    for process in server.processes:
        if process.stopped and process.tunnel:
            yield Difference(
                server.name,
                "process",
                f"the program behind {device} runs",
                f"process {process.pid} is stopped (state {process.state}): nothing is decapsulated",
                f"ps -o pid,stat,args -p {process.pid}",
            )


def _listens(
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


# ---- from host to host ----


def _carry(state: LabState, packet: _Packet, host: HostState, goal: HostState) -> Iterator[Difference]:
    """From `host`, which makes the packet, to the wire of `goal`; the filters of a client count, too."""
    inbound = ""
    for _ in range(_HOPS):
        if host.error:
            return
        hop = _next_hop(host, packet, inbound)
        plug = next((plug for plug in host.plugs if plug.interface == hop.interface), None)
        if hop.local or plug is None:
            yield from _misrouted(state, host, packet, inbound, hop, goal)
            return
        yield from _reverse_path(host, packet, inbound, hop)
        yield from _link(host, plug.interface)
        yield from _filtered(state, host, packet, (*(_THROUGH if inbound else _OUT), _LAST))
        address = hop.gateway or packet.dest
        receiver = _holder(state, plug.switch, address)
        right = _right_receivers(state, host, packet, goal)
        if receiver is None or receiver[0].name not in right:
            yield from _misrouted(state, host, packet, inbound, hop, goal)
            return
        other, there = receiver
        yield from _received(state, host, plug, address, other, there)
        if other.name == goal.name:
            if goal.role == "client":
                yield from _filtered(state, goal, packet, _IN)
            return
        host, inbound = other, there.interface


def _next_hop(host: HostState, packet: _Packet, inbound: str) -> NextHop:
    """As the kernel answered for this packet, or for its destination; else by the routing table."""
    source = packet.source if inbound or packet.is_reply else ""
    for hop in host.next_hops:
        if (hop.target, hop.source, hop.inbound) == (packet.dest, source, inbound):
            return hop
    return next_hop(host, packet.dest)


def _holder(state: LabState, switch: str, address: str) -> tuple[HostState, Plug] | None:
    """Who of a segment has the address by the plan, or as a link-local one; the VIP is the director's."""
    for host, plug in state.on_switch(switch):
        of_director = address in (state.vip, *state.moving) and host.name == state.director_host.name
        if plug.address == address or of_director or address in link_locals(host, plug):
            return host, plug
    return None


def _right_receivers(state: LabState, host: HostState, packet: _Packet, goal: HostState) -> set[str]:
    """The hosts to which `host` may hand a packet on its way to `goal`: that, if it is near, or a gateway."""
    switches = {plug.switch for plug in host.plugs}
    if switches & {plug.switch for plug in goal.plugs}:
        return {goal.name}
    route = longest(host.planned.routes, packet.dest)
    gateway = route.gateway if route else host.planned.gateway
    found = (_holder(state, switch, gateway) for switch in switches)
    return {owner[0].name for owner in found if owner}


def _misrouted(
    state: LabState, host: HostState, packet: _Packet, inbound: str, hop: NextHop, goal: HostState
) -> Iterator[Difference]:
    """Why a packet has no next hop, or a wrong one: what else is wrong on this host, or its routes."""
    for plug in host.plugs:
        yield from _link(host, plug.interface)
        yield from _address(host, plug)
    if inbound and not _forwards(host, inbound):
        yield Difference(
            host.name,
            "setting",
            f"{host.name} forwards what arrives on {inbound}",
            host.setting_text("forwarding", inbound),
            f"sysctl net.ipv{state.version}.conf.{inbound}.forwarding",
        )
    if not hop.interface:
        yield from _reverse_path(host, packet, inbound, next_hop(host, packet.source))
    if hop.local:
        has = next((address for address in host.addresses if address.address == packet.dest), None)
        yield Difference(
            host.name,
            "address",
            f"{packet.dest} is an address of {goal.name} only",
            f"{host.name} has {has or packet.dest}, too",
            "ip address show",
        )
    expected = " or ".join(sorted(_right_receivers(state, host, packet, goal))) or goal.name
    query = f" from {packet.source}" if inbound or hop.source else ""
    query += f" iif {inbound}" if inbound else ""
    holder = f", which is {_whose(state, host, hop)}" if hop.interface else ""
    yield Difference(
        host.name,
        "route",
        f"{packet} go to {expected}",
        f"{hop}{holder}",
        f"ip route get {packet.dest}{query}{'; ip rule show' if host.rules else ''}",
    )


def _whose(state: LabState, host: HostState, hop: NextHop) -> str:
    switch = next((plug.switch for plug in host.plugs if plug.interface == hop.interface), "")
    holder = _holder(state, switch, hop.gateway or hop.target)
    return f"an address of {holder[0].name}" if holder else "an address that no host there has"


def _forwards(host: HostState, inbound: str) -> bool:
    """The kernel's question is about the interface on which a packet arrives."""
    return bool(host.settings.get(f"conf.{inbound}.forwarding", 1))


def _link(host: HostState, interface: str) -> Iterator[Difference]:
    link = host.link(interface)
    if not host.links or (link and link.works):
        return
    observed = "there is no such interface"
    if link:
        observed = "it has no carrier: its other end is down or gone" if link.up else "it is down"
    look = f"ip link show dev {interface}"
    yield Difference(host.name, "link", f"{interface} is up and has a carrier", observed, look)


def _address(host: HostState, plug: Plug) -> Iterator[Difference]:
    """A plug's address is there, with its netmask."""
    wanted = f"{plug.address}/{plug.prefix} on {plug.interface}"
    found = [address for address in host.addresses if address.address == plug.address]
    look = f"ip address show dev {plug.interface}"
    if not found:
        others = [str(address) for address in host.addresses if address.interface == plug.interface]
        yield Difference(host.name, "address", wanted, ", ".join(others) or "no address", look)
    for address in found:
        if (address.interface, address.prefix) != (plug.interface, plug.prefix):
            yield Difference(host.name, "netmask", wanted, str(address), look)


def _reverse_path(host: HostState, packet: _Packet, inbound: str, hop: NextHop) -> Iterator[Difference]:
    """The kernel drops a packet that it would answer through another interface (rp_filter 1)."""
    if not inbound or hop.local or host.setting("rp_filter", inbound) != _STRICT:
        return
    back = next_hop(host, packet.source)
    if back.interface and back.interface != inbound:
        yield Difference(
            host.name,
            "setting",
            f"packets from {packet.source} are accepted on {inbound}",
            f"{host.setting_text('rp_filter', 'all', inbound)}, and the route back is {back}",
            f"sysctl net.ipv4.conf.{inbound}.rp_filter",
        )


def _filtered(
    state: LabState, host: HostState, packet: _Packet, hooks: Iterable[str]
) -> Iterator[Difference]:
    """A packet filter; the packet sockets of the director's engines are in front of its own."""
    if host.role == "director" and state.director.engine != "ipvs":
        return
    rule = dropped(host.filters, packet.facts, *hooks)
    if rule:
        yield Difference(
            host.name,
            "filter",
            f"{packet} pass",
            f"table {rule.family} {rule.table}, chain {rule.chain}: {rule.text or rule.verdict}",
            "nft list ruleset",
        )


def _received(
    state: LabState, sender: HostState, plug: Plug, address: str, receiver: HostState, there: Plug
) -> Iterator[Difference]:
    """The frame reaches who has the next hop's address by the plan: link, ARP, the sender's entry."""
    if receiver.error:
        return
    yield from _link(receiver, there.interface)
    if not receiver.has(address):
        yield from (_address(receiver, there) if address == there.address else ())
        at = there.interface
        look = f"ip address show dev {at}"
        yield Difference(receiver.name, "address", f"{address} on {at}", "it is none of its addresses", look)
    entry = sender.neighbour(address, plug.interface)
    asks_itself = sender.role == "director" and state.director.engine == "scapy"
    if entry and entry.mac and not asks_itself:
        yield from _entry(state, sender, plug, entry, receiver, there)
        if entry.is_static:
            return
    if is_silenced(receiver, address, there.interface):
        yield Difference(
            receiver.name,
            _RESOLUTION[state.version],
            f"{receiver.name} answers {_REQUESTS[state.version]} for {address} on {there.interface}",
            *_why_silent(receiver, address, there.interface),
        )
    for other, port in state.on_switch(plug.switch):
        rival = other.name not in (receiver.name, sender.name) and other.has(address)
        if rival and not is_silenced(other, address, port.interface):
            yield Difference(
                other.name,
                "address",
                f"only {receiver.name} answers {_REQUESTS[state.version]} for {address}",
                f"{other.name} has {other.has(address)}, and answers, too",
                "ip address show",
            )


def _why_silent(host: HostState, address: str, interface: str) -> tuple[str, str]:
    """What is observed there, and a command to look at."""
    if ":" in address:
        return f"it does not: it has {host.has(address)}", f"ip address show to {address}"
    setting = host.setting_text("arp_ignore", "all", interface)
    return f"it does not: {setting}", f"sysctl net.ipv4.conf.{interface}.arp_ignore"


def _entry(
    state: LabState, sender: HostState, plug: Plug, entry: Neighbour, receiver: HostState, there: Plug
) -> Iterator[Difference]:
    """An entry that is permanent is the fault of who has it; others come from who claims the address."""
    right = receiver.mac(there.interface)
    if not right or entry.mac == right:
        return
    other = state.owner_of_mac(plug.switch, entry.mac)
    if other and not entry.is_static:
        at = other[1].interface
        yield Difference(
            other[0].name,
            _RESOLUTION[state.version],
            f"only {receiver.name} claims {entry.address} in {_CLAIMS[state.version]}",
            f"{sender.name} has learnt it from {other[0].name}: {entry}",
            f"ip address show to {entry.address}"
            if state.version == 6
            else f"sysctl -a --pattern 'net.ipv4.conf.(all|{at}).arp_(ignore|announce)'",
        )
    whose = f"of {other[0].name}" if other else "of no host there"
    yield Difference(
        sender.name,
        "neighbour",
        f"{entry.address} is at {right}, {receiver.name}",
        f"{entry}: {whose}",
        f"ip neighbour show dev {plug.interface}",
    )
