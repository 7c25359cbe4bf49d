"""A policy routing rule for certain packets, such as ftp's or the tunnel's, takes them off their way.

A rule that concerns http shows in the kernel's own answers: no_route, no_gateway and local_route know it.
What any other rule does is told by where the packets of trials end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from doctor.causes import Cause
from doctor.queries import CLIENT_PORT, HTTP, served_port
from doctor.routing import deletion
from doctor.sightings import last_seen
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState, PolicyRule, Trial

TITLE = "a policy rule takes certain packets off their way"

_TCP, _TUNNEL = ("tcp", "6"), ("ipencap", "ipip", "4", "ipv6", "41")
_OF_MAIN = 32766  # the priority of the kernel's rule for table main
_HARMLESS = ("lookup main", "lookup local", "lookup default")


@dataclass(frozen=True, slots=True)
class _Packet:
    """What ip-rule(8) selects by; ports are 0 in the tunnel."""

    protocol: tuple[str, ...]
    source: str
    dest: str
    sport: int = 0
    dport: int = 0

    @property
    def reply(self) -> _Packet:
        return _Packet(self.protocol, self.dest, self.source, self.dport, self.sport)

    def __str__(self) -> str:
        if self.protocol != _TCP:
            return f"the tunnel's packets to {self.dest}"
        return f"TCP packets from port {self.sport} to port {self.dport}"


def find(state: LabState) -> Iterator[Cause]:
    ends = [(trial, seen.host) for trial in state.troubled if (seen := last_seen(trial))]
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        came = [
            packet for trial, name in ends if name == host.name for packet in _packets(state, host, trial)
        ]
        for rule in host.rules if came else ():
            packet = next((packet for packet in came if _overrides(state, host, rule, packet)), None)
            if packet:
                yield _cause(host, rule, packet)


def _packets(state: LabState, host: HostState, trial: Trial) -> Iterator[_Packet]:
    """The packets of a trial that came to the host, and replies to them, which may not have been sent."""
    for seen in trial.seen:
        (source, sport), (dest, dport) = _end(seen.source), _end(seen.dest)
        if seen.host != host.name or not dest:
            continue
        if seen.tunnel:
            yield _Packet(_TUNNEL, state.dip, seen.tunnel)
            continue
        if not source:  # nothing has left the host of the trial
            source, sport = host.main.address, trial.source_port
        packet = _Packet(_TCP, source, dest, sport, dport)
        yield from (packet, packet.reply)


def _end(text: str) -> tuple[str, int]:
    """Address and port of an endpoint; ("", 0) for anything else, such as the address of an ARP request."""
    address, _, port = text.rpartition(":")
    is_endpoint = port.isdecimal() and address.startswith("[") == (":" in address)
    return (address.strip("[]"), int(port)) if is_endpoint else ("", 0)


def _overrides(state: LabState, host: HostState, rule: PolicyRule, packet: _Packet) -> bool:
    """Whether the rule concerns the packet, but not the one with which the kernel was asked."""
    is_harmless = rule.text.endswith(_HARMLESS) or rule.priority > _OF_MAIN
    return not is_harmless and _selects(rule, packet) and not _selects(rule, _asked(state, host, packet))


def _asked(state: LabState, host: HostState, packet: _Packet) -> _Packet:
    """The packet with the ports for which the kernel told its next hop; in the tunnel, without a protocol."""
    if packet.protocol != _TCP:
        return replace(packet, protocol=())
    served = {served_port(state, server) for server in state.servers if server.name == host.name}
    port = next((port for port in (packet.sport, packet.dport) if port in served), HTTP)
    if packet.sport < packet.dport:  # from a real server: clients' ports are higher
        return replace(packet, sport=port, dport=CLIENT_PORT)
    return replace(packet, sport=CLIENT_PORT, dport=port)


def _selects(rule: PolicyRule, packet: _Packet) -> bool:
    """Whether it selects the packet by what is known of it; marks and interfaces may be anything."""
    words = rule.text.split()
    named = dict(zip(words[::2], words[1::2], strict=False))
    return (
        _is_in(packet.source, named.get("from", "all"))
        and _is_in(packet.dest, named.get("to", "all"))
        and ("ipproto" not in named or named["ipproto"] in packet.protocol)
        and _is_among(packet.sport, named.get("sport", ""))
        and _is_among(packet.dport, named.get("dport", ""))
    )


def _is_in(address: str, network: str) -> bool:
    return network == "all" or ip_address(address) in ip_network(network, strict=False)


def _is_among(port: int, ports: str) -> bool:
    """Whether it is the port, or in the range FIRST-LAST; without ports, every one is."""
    first, _, last = ports.partition("-")
    return not ports or int(first) <= port <= int(last or first)


def _cause(host: HostState, rule: PolicyRule, packet: _Packet) -> Cause:
    return Cause(
        "policy_rule",
        host.name,
        f"ip rule has {rule}, which selects {packet}; those of failed trials were last seen on {host.name}",
        "The kernel compares packets with the policy rules, in the order of their priority, before it looks "
        "up a route: these packets never come to table main, and so fail where others pass.",
        deletion(host, rule),
    )
