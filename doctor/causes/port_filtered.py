"""A packet filter drops requests or replies."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import Packet, dropped, drops_at_random, drops_long, suspects
from doctor.queries import (
    FTP,
    HTTP,
    PASSIVE,
    outer_packet,
    reply_packet,
    request_packet,
    served_port,
    services_of,
)
from doctor.sightings import last_seen
from doctor.state import (
    CLIENT,
    DIRECTOR,
    IN,
    ROUTER,
    SERVER,
    FilterRule,
    HostState,
    LabState,
    PlannedServer,
    Plug,
    Trial,
)

TITLE = "a packet filter drops requests or replies"

_ERRORS = ("RST", "ICMP")
_ACTIVE = 20  # from which ftpd opens data connections (RFC 959)
_ACTIVE_OPENING = (  # the server's end of the packet, its flags, and how netfilter tracks it
    ("sport", frozenset({"syn"}), "new"),
    ("dport", frozenset({"syn", "ack"}), "established"),
)
_LATER = tuple(frozenset(flags.split()) for flags in ("ack", "psh ack", "fin ack"))
_IN, _THROUGH, _OUT = (
    ("ingress", "prerouting", "input"),
    ("ingress", "prerouting", "forward", "postrouting", "egress"),
    ("output", "postrouting", "egress"),
)


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        direct = [trial for trial in state.trials if trial.wanted == host.name and not trial.served]
        lost_here = any(_is_last(trial, host) for trial in (*state.troubled, *direct))
        rejected_here = any(_is_rejected(trial, host) for trial in state.troubled)
        certain = [verdict for verdict, is_so in (("reject", rejected_here), ("synproxy", direct)) if is_so]
        for what, packet, hooks in passing(state, host):
            rule = dropped(host.filters, packet, *hooks)
            if rule:
                yield _cause(host, rule, what)
                break
            may = [rule for rule in suspects(host.filters, packet, *hooks) if rule.handle]
            at_random = next((rule for rule in may if drops_at_random(rule, packet)), None)
            if at_random:
                yield _cause(host, at_random, f"some {what}")
                break
            long = next((rule for rule in may if drops_long(rule, packet)), None)
            if long:
                yield _cause(host, long, f"{what} that are long or in longer connections")
                break
            here = [rule for rule in may if lost_here or rule.verdict in certain]
            if here:
                yield _cause(host, here[0], what, certain=False)
                break


def _is_last(trial: Trial, host: HostState) -> bool:
    """Whether a packet of the trial, or the rest of an answer, was lost on this host."""
    last = last_seen(trial)
    return last is not None and last.host == host.name and (last.way == IN or "data" in last.what)


def _is_rejected(trial: Trial, host: HostState) -> bool:
    """Whether the trial ended with a RST or an ICMP error from this host."""
    last = last_seen(trial)
    return last is not None and last.host == host.name and last.what.startswith(_ERRORS)


_Passing = Iterator[tuple[str, Packet, tuple[str, ...]]]


def passing(state: LabState, host: HostState) -> _Passing:
    """The packets of a connection that pass the host, and the hooks that they pass; those that open it first.

    With ftp, also those that open an active data connection and, if ftp fails, a passive one.
    """
    opening = list(_opening(state, host))
    yield from opening
    for flags in _LATER:
        for what, packet, hooks in opening:
            if "tcp flags" in packet:
                yield what, {**packet, "tcp flags": flags, "ct state": "established"}, hooks
    ftp_fails = any(trial.port == FTP for trial in state.failures)
    for what, packet, hooks in opening:
        for end, flags, tracked in _ACTIVE_OPENING:
            if packet.get(f"tcp {end}") == FTP:
                active = {**packet, "tcp flags": flags, "ct state": tracked, **_port(end, _ACTIVE)}
                yield "packets of ftp's active data connections", active, hooks
            if ftp_fails and f"tcp {end}" in packet:
                yield f"{what} of ftp's data connections", {**packet, **_port(end, PASSIVE)}, hooks


def _port(end: str, port: int) -> dict[str, int]:
    return {f"tcp {end}": port, f"th {end}": port}


def _opening(state: LabState, host: HostState) -> _Passing:
    if host.role == DIRECTOR:
        yield from _of_the_director(state)
        return
    own = next((server for server in state.servers if server.name == host.name), None)
    clients = [host.main] if host.role == CLIENT else state.clients
    for client in clients:
        if host.role == SERVER and own:
            yield from _of_a_server(state, host, own, client)
        elif host.role == CLIENT:
            out, inbound = {"oifname": host.main.interface}, {"iifname": host.main.interface}
            for port in _ports(state):
                yield "requests", {**request_packet(client.address, state.vip, port), **out}, _OUT
                yield "replies", {**reply_packet(state.vip, client.address, port), **inbound}, _IN
        else:
            yield from _of_a_router(state, host, client)


def _ports(state: LabState) -> tuple[int, ...]:
    """The ports of the VIP that the lab's clients use."""
    return (HTTP, FTP) if services_of(state, FTP) else (HTTP,)


def _of_a_server(state: LabState, host: HostState, own: PlannedServer, client: Plug) -> _Passing:
    lan = host.main.interface
    address = own.address if state.method == "nat" else state.vip
    inbound = {"iifname": "tunl0" if state.method == "tun" else lan}
    if state.method == "tun":
        yield "packets of the tunnel", {**outer_packet(state.dip, own.address), "iifname": lan}, _IN
    for port in (served_port(state, own), *((FTP,) if own.ftp else ())):
        yield "requests", {**request_packet(client.address, address, port), **inbound}, _IN
        yield "replies", {**reply_packet(address, client.address, port), "oifname": lan}, _OUT


def _of_a_router(state: LabState, host: HostState, client: Plug) -> _Passing:
    outside, inside = host.plugs[0].interface, host.plugs[-1].interface
    inwards = {"iifname": outside, "oifname": inside}
    outwards = {"iifname": inside, "oifname": outside}
    in_front = host.plugs[-1].switch == state.director_host.main.switch
    for port in _ports(state) if in_front else ():
        yield "requests", {**request_packet(client.address, state.vip, port), **inwards}, _THROUGH
    behind = {neighbour.name for neighbour, _ in state.on_switch(host.plugs[-1].switch)}
    for server in state.servers if state.method == "tun" else ():
        if in_front or server.name in behind:
            direction = outwards if in_front else inwards
            yield "packets of the tunnel", {**outer_packet(state.dip, server.address), **direction}, _THROUGH
    for port in _ports(state) if state.method != "tun" or not in_front else ():
        yield "replies", {**reply_packet(state.vip, client.address, port), **outwards}, _THROUGH


def _of_the_director(state: LabState) -> _Passing:
    """The engines receive packets before the host's filter, and send them after it, but for its egress hook.

    With kernel IPVS, packets pass the whole filter.
    """
    for server in state.servers:
        out = {"oifname": state.director_host.plugs[-1].interface}
        for client in state.clients:
            request = request_packet(client.address, state.vip, HTTP)
            if state.method == "tun":
                request = outer_packet(state.dip, server.address)
            elif state.method == "nat":
                request = request_packet(client.address, server.address, server.ports[0])
            yield "requests", {**request, **out}, ("egress",)
    if state.director.is_kernel_ipvs:
        for client in state.clients:
            yield "requests", request_packet(client.address, state.vip, HTTP), _IN


def _cause(host: HostState, rule: FilterRule, what: str, *, certain: bool = True) -> Cause:
    place = f"{rule.family} {rule.table} {rule.chain}"
    repair = f"nft delete rule {place} handle {rule.handle}"
    if not rule.handle:
        repair = f"nft 'chain {place} {{ policy accept; }}'"
    rejects = rule.verdict == "reject"
    effect = (
        "The sender gets an ICMP error or a RST, so the connection fails at once."
        if rejects
        else "A dropped packet leaves no trace at its sender, who repeats it until it gives up."
    )
    doubt = "" if certain else f"; a request came as far as {host.name}, and it was not served"
    return Cause(
        "port_filtered",
        host.name,
        f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}{doubt}",
        f"The rule drops {what} of the service. {effect} A capture on {host.name} shows what arrives: "
        "tcpdump sees packets before the filter.",
        repair,
    )
