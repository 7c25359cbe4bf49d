"""A packet from host to host: route, next hop, ARP or neighbour discovery, neighbour entries."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.difference import Difference, PathPacket
from doctor.host_checks import INPUT, LAST, OUTPUT, THROUGH, filtered, link, planned_address, reverse_path
from doctor.queries import is_silenced, link_locals, resolution_requests
from doctor.routing import longest, next_hop
from doctor.state import HostState, LabState, Neighbour, NextHop, Plug

_HOPS = 8
_RESOLUTION = {4: "ARP", 6: "neighbour discovery"}  # by IP version
_CLAIMS = {4: "ARP packets", 6: "neighbour advertisements"}


def carry(state: LabState, packet: PathPacket, host: HostState, goal: HostState) -> Iterator[Difference]:
    """Follow the packet from `host`, which sends it, to the wire of `goal`, or through a client's filters."""
    inbound = ""
    for _ in range(_HOPS):
        if host.error:
            return
        hop = _next_hop(host, packet, inbound)
        plug = next((plug for plug in host.plugs if plug.interface == hop.interface), None)
        if hop.local or plug is None:
            yield from _misrouted(state, host, packet, inbound, hop, goal)
            return
        yield from reverse_path(host, packet, inbound, hop)
        yield from link(host, plug.interface)
        yield from filtered(state, host, packet, (*(THROUGH if inbound else OUTPUT), LAST))
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
                yield from filtered(state, goal, packet, INPUT)
            return
        host, inbound = other, there.interface


def _next_hop(host: HostState, packet: PathPacket, inbound: str) -> NextHop:
    """The kernel's answer for this packet, or for its destination; else by the routing table."""
    source = packet.source if inbound or packet.is_reply else ""
    for hop in host.next_hops:
        if (hop.target, hop.source, hop.inbound) == (packet.dest, source, inbound):
            return hop
    return next_hop(host, packet.dest)


def _holder(state: LabState, switch: str, address: str) -> tuple[HostState, Plug] | None:
    """The host on a segment with this planned or link-local address; the VIP is the director's."""
    for host, plug in state.on_switch(switch):
        of_director = address in (state.vip, *state.moving) and host.name == state.director_host.name
        if plug.address == address or of_director or address in link_locals(host, plug):
            return host, plug
    return None


def _right_receivers(state: LabState, host: HostState, packet: PathPacket, goal: HostState) -> set[str]:
    """The hosts to which `host` may send a packet for `goal`: `goal` on a shared segment, or a gateway."""
    switches = {plug.switch for plug in host.plugs}
    if switches & {plug.switch for plug in goal.plugs}:
        return {goal.name}
    route = longest(host.planned.routes, packet.dest)
    gateway = route.gateway if route else host.planned.gateway
    found = (_holder(state, switch, gateway) for switch in switches)
    return {owner[0].name for owner in found if owner}


def _misrouted(
    state: LabState, host: HostState, packet: PathPacket, inbound: str, hop: NextHop, goal: HostState
) -> Iterator[Difference]:
    """Why a packet has no next hop, or a wrong one: another fault on this host, or its routes."""
    for plug in host.plugs:
        yield from link(host, plug.interface)
        yield from planned_address(host, plug)
    if inbound and not _forwards(host, inbound):
        yield Difference(
            host.name,
            "setting",
            f"{host.name} forwards what arrives on {inbound}",
            host.setting_text("forwarding", inbound),
            f"sysctl net.ipv{state.version}.conf.{inbound}.forwarding",
        )
    if not hop.interface:
        yield from reverse_path(host, packet, inbound, next_hop(host, packet.source))
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
    """Whether the host forwards: the kernel checks the interface on which a packet arrives."""
    return bool(host.settings.get(f"conf.{inbound}.forwarding", 1))


def _received(
    state: LabState, sender: HostState, plug: Plug, address: str, receiver: HostState, there: Plug
) -> Iterator[Difference]:
    """Checks that the frame reaches the planned next hop: link, ARP, the sender's neighbour entry."""
    if receiver.error:
        return
    yield from link(receiver, there.interface)
    if not receiver.has(address):
        yield from (planned_address(receiver, there) if address == there.address else ())
        at = there.interface
        look = f"ip address show dev {at}"
        yield Difference(
            receiver.name, "address", f"{address} on {at}", f"{receiver.name} does not have it", look
        )
    entry = sender.neighbour(address, plug.interface)
    asks_itself = sender.role == "director" and state.director.engine == "scapy"
    if entry and entry.mac and (entry.is_permanent or not asks_itself):
        yield from _entry(state, sender, plug, entry, receiver, there)
        if entry.is_static:
            return
    if is_silenced(receiver, address, there.interface):
        yield Difference(
            receiver.name,
            _RESOLUTION[state.version],
            f"{receiver.name} answers {resolution_requests(address)} for {address} on {there.interface}",
            *_why_silent(receiver, address, there.interface),
        )
    for other, port in state.on_switch(plug.switch):
        rival = other.name not in (receiver.name, sender.name) and other.has(address)
        if rival and not is_silenced(other, address, port.interface):
            yield Difference(
                other.name,
                "address",
                f"only {receiver.name} answers {resolution_requests(address)} for {address}",
                f"{other.name} has {other.has(address)}, and answers, too",
                "ip address show",
            )


def _why_silent(host: HostState, address: str, interface: str) -> tuple[str, str]:
    """The observation, and a command that shows it."""
    if ":" in address:
        return f"it does not: it has {host.has(address)}", f"ip address show to {address}"
    setting = host.setting_text("arp_ignore", "all", interface)
    return f"it does not: {setting}", f"sysctl net.ipv4.conf.{interface}.arp_ignore"


def _entry(
    state: LabState, sender: HostState, plug: Plug, entry: Neighbour, receiver: HostState, there: Plug
) -> Iterator[Difference]:
    """A wrong entry: if permanent, this host is to blame, otherwise the host that claims the address."""
    right = receiver.mac(there.interface)
    if not right or entry.mac in receiver.macs(there.interface):
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
