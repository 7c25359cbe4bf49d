"""Each cause is found where it is, and no other; healthy labs have none."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from classroom.diagnosis import CAUSES
from doctor.causes import diagnose, packet_too_big_filtered, titles
from doctor.path import differences
from doctor.queries import START_TAKEOVER, link_locals
from doctor.state import (
    FAILED,
    IN,
    OUT,
    REFUSED,
    RESET,
    TIMED_OUT,
    UNREACHABLE,
    WRONG_SERVER,
    Address,
    Connection,
    DirectorState,
    Down,
    FilterRule,
    HostState,
    LabState,
    Listener,
    Mark,
    Neighbour,
    NextHop,
    Plug,
    PolicyRule,
    Process,
    Route,
    Sighting,
    Site,
    SyncDaemon,
    Target,
    TrafficFilter,
    Trial,
)
from labs.network.addresses import link_local
from labs.plan import plan_for
from labs.run.options import LabOptions
from tests.labs.fault_drawing import draw, fill, hosts, kinds_for
from tests.labs.faults import KINDS, LOCATED
from tests.labs.ha_doctor_trial import FAULTS
from tests.unit.doctor.recorded import (
    METHODS,
    director,
    healthy,
    host,
    http,
    http_service,
    on,
    setting,
    without,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "doctor.md"
VIP, CLIENT = "203.0.113.1", "198.51.100.101"
ONLY_PING = {
    "match": {
        "op": "!=",
        "left": {"payload": {"protocol": "icmp", "field": "type"}},
        "right": {"set": ["echo-request", "echo-reply"]},
    }
}
TYPE_3 = {
    "match": {
        "op": "==",
        "left": {"payload": {"protocol": "icmp", "field": "type"}},
        "right": "destination-unreachable",
    }
}
HTTP_PORT = {
    "match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80},
}


def _port(field: str, value: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": field}}, "right": value}}


SSH_PORT, FROM_HTTP, HIGH_PORTS = (
    _port("dport", 22),
    _port("sport", 80),
    _port("dport", {"range": [8000, 8080]}),
)
FROM_LO = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}
IPIP = {
    "match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": "ipip"},
}
NOBODY = "02:00:00:00:00:99"
FROM_SERVERS = {
    "match": {
        "op": "==",
        "left": {"payload": {"protocol": "ip", "field": "saddr"}},
        "right": {"prefix": {"addr": "172.16.0.0", "len": 24}},
    }
}
DRAIN = "#!/bin/sh\n# takes rs1 out, -D\n"
DELETES = "ippfvsadm -D -t 203.0.113.1:80 -R 172.16.0.2:80\n"
TODAYS = "ipvsadm --delete-server -t 203.0.113.1:80 -r 172.16.0.2:80\n"
QUIETS = "ipvsadm -e -t 203.0.113.1:80 -r 172.16.0.2:80 -m -w 0\n"


def rule(hook: str, verdict: str, *matches: Mapping[str, Any], family: str = "ip") -> FilterRule:
    return FilterRule(family, "f", "c", hook, 0, 5, verdict, tuple(map(dict, matches)), "as nft prints it")


NO_VRRP = rule("input", "drop", {**IPIP, "match": {**IPIP["match"], "right": "vrrp"}})
HEARTBEATS = {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 694}}
FOR_THE_ROUTER = {
    "match": {
        "op": "!=",
        "left": {"payload": {"protocol": "arp", "field": "daddr ip"}},
        "right": "203.0.113.254",
    }
}
BROADCASTS = {
    "match": {
        "op": "==",
        "left": {"payload": {"protocol": "ether", "field": "daddr"}},
        "right": "ff:ff:ff:ff:ff:ff",
    }
}


NOT_FOR_OTHERS = rule("input", "drop", FOR_THE_ROUTER, family="arp")
NO_BROADCASTS = rule("ingress", "drop", BROADCASTS, family="netdev")


def set_on(state: LabState, name: str, setting: str, value: int = 1) -> LabState:
    """With a setting of the host's kernel."""
    return on(state, name, settings={**host(state, name).settings, setting: value})


def both_own_the_vip(state: LabState) -> LabState:
    address = Address("d2-eth0", state.vip, state.whole, "d2-eth0")
    return on(state, "d2", addresses=(*host(state, "d2").addresses, address))


def paired(state: LabState, name: str, **changes: Any) -> LabState:
    """With one of the two directors changed; of its settings, only those that are named."""
    before = next(member for member in state.pair if member.name == name)
    if "settings" in changes:
        changes["settings"] = {**before.settings, **changes["settings"]}
    after = replace(before, **changes)
    return replace(state, pair=tuple(after if member is before else member for member in state.pair))


def stopped_takeover(state: LabState, name: str) -> LabState:
    *others, takeover = host(state, name).processes
    return on(state, name, processes=(*others, replace(takeover, state="T")))


def stopped_checks(state: LabState, name: str) -> LabState:
    *others, checks, takeover = host(state, name).processes
    return on(state, name, processes=(*others, replace(checks, state="T"), takeover))


def without_checks(state: LabState, name: str) -> tuple[Process, ...]:
    *others, _, takeover = host(state, name).processes
    return (*others, takeover)


def without_vip(state: LabState, name: str) -> LabState:
    return without(state, name, VIP)


def local_route_alone(state: LabState) -> LabState:
    """rs1 delivers packets to the VIP, which none of its interfaces has."""
    return on(state, "rs1", addresses=tuple(a for a in host(state, "rs1").addresses if a.address != VIP))


def with_vip(state: LabState, name: str, **changes: Any) -> LabState:
    """With a changed VIP address entry."""
    addresses = host(state, name).addresses
    changed = (replace(address, **changes) if address.address == VIP else address for address in addresses)
    return on(state, name, addresses=tuple(changed))


def listening(state: LabState, name: str, *ports: int) -> LabState:
    return on(state, name, listeners=tuple(Listener("TCP", "0.0.0.0", port) for port in ports))


def next_hop(state: LabState, name: str, to: str, gateway: str = "", interface: str = "") -> LabState:
    kept = tuple(hop for hop in host(state, name).next_hops if hop.target != to)
    return on(state, name, next_hops=(*kept, NextHop(to, gateway, interface)))


def taking(state: LabState, name: str, address: str) -> LabState:
    """With a local route for somebody else's address."""
    hops = (
        replace(hop, gateway="", interface="lo", local=True) if hop.target == address else hop
        for hop in host(state, name).next_hops
    )
    return on(state, name, next_hops=tuple(hops))


@pytest.mark.parametrize(("method", "name", "address"), [("nat", "rs1", CLIENT), ("dr", "r0", VIP)])
def test_a_local_route_is_deleted_from_the_local_table(method: str, name: str, address: str) -> None:
    (found,) = diagnose(taking(healthy(method), name, address))
    assert found.repair == f"ip route del local {address} table local"


def test_a_director_without_its_control_socket_ends_before_another_starts() -> None:
    process = Process(42, "python start.py lvs-director --method dr", "S")
    state = on(director(healthy("dr"), error="no answer"), "d", processes=(process,))
    (found,) = diagnose(replace(state, director_process=None))
    assert (found.cause, found.repair.splitlines()[0].partition(";")[0]) == ("director_down", "kill 42")


def connected(state: LabState, server: str, stage: str = "ESTABLISHED") -> LabState:
    entry = Connection("TCP", f"{CLIENT}:40000", f"{VIP}:80", server, stage, 800.0)
    return director(state, connections=(entry,))


def inside_client(state: LabState, gateway: str) -> LabState:
    """A client on the real servers' own network, which rs1 reaches through `gateway`."""
    plug = Plug("c3-eth0", host(state, "rs1").main.switch, "172.16.0.101", 24)
    inside = HostState("c3", "client", (plug,), addresses=(Address("c3-eth0", "172.16.0.101", 24),))
    state = replace(state, hosts=(*state.hosts, inside))
    for name in ("rs1", "rs2", "rs3"):
        state = next_hop(state, name, "172.16.0.101", "172.16.0.1", f"{name}-eth0")
    return next_hop(state, "rs1", "172.16.0.101", gateway, "rs1-eth0")


def two_ports(state: LabState, **changes: Any) -> LabState:
    """A second service of the same real servers, on port 8080."""
    shop = replace(http_service(state), port=8080, **changes)
    servers = tuple(replace(server, ports=(80, 8080)) for server in state.servers)
    return director(replace(state, servers=servers), services=(*state.director.services, shop))


def by_mark(state: LabState, second: int) -> LabState:
    """Both ports by mark: the same mark, or two."""
    marks = (Mark(1, VIP, "TCP", 80, 80), Mark(second, VIP, "TCP", 8080, 8080))
    service = replace(http_service(state), protocol="FWM", address="0.0.0.0", port=0, persistent=300)
    services = tuple(replace(service, mark=mark) for mark in {1, second})
    servers = tuple(replace(server, ports=(80, 8080)) for server in state.servers)
    return director(replace(state, servers=servers), services=services, marks=marks)


def marked_without_servers(state: LabState) -> LabState:
    """A mark for the VIP's port, whose service is empty; that of the port is as it was."""
    service = replace(http_service(state), protocol="FWM", address="0.0.0.0", port=0, mark=7, targets=())
    services = (*state.director.services, service)
    return director(state, services=services, marks=(Mark(7, f"{VIP}/32", "TCP", 80, 80),))


def deleted(state: LabState) -> LabState:
    targets = tuple(target for target in http_service(state).targets if target.address != "172.16.0.2")
    return http(state, targets=targets)


def redirects(state: LabState, name: str) -> LabState:
    return on(state, name, filters=(rule("prerouting", "redirect 8000", HTTP_PORT),))


def link(state: LabState, name: str, at: int = 0, **changes: Any) -> LabState:
    """With another state of one of the host's links."""
    before = host(state, name)
    interface = before.plugs[at].interface
    links = (replace(own, **changes) if own.interface == interface else own for own in before.links)
    return on(state, name, links=tuple(links))


def prefix(state: LabState, name: str, prefix: int, at: int = 0) -> LabState:
    """With another netmask of one of its addresses."""
    before = host(state, name)
    address = before.plugs[at].address
    changed = (replace(held, prefix=prefix) if held.address == address else held for held in before.addresses)
    return on(state, name, addresses=tuple(changed))


def extra(state: LabState, name: str, address: str, prefix: int, interface: str = "") -> LabState:
    """With another address."""
    before = host(state, name)
    held = Address(interface or before.main.interface, address, prefix)
    return on(state, name, addresses=(*before.addresses, held))


def static(
    state: LabState, name: str, address: str, mac: str, at: int = 0, *, state_of: str = "PERMANENT"
) -> LabState:
    """With an entry in its neighbour table."""
    interface = host(state, name).plugs[at].interface
    return on(state, name, neighbours=(Neighbour(address, interface, mac, state_of),))


def weighed(state: LabState, *weights: int) -> tuple[Target, ...]:
    targets = http_service(state).targets
    return tuple(replace(target, weight=weight) for target, weight in zip(targets, weights, strict=True))


def routed(state: LabState, name: str, to: str, gateway: str, interface: str, *routes: Route) -> LabState:
    """With another next hop, and these routes besides its own."""
    state = next_hop(state, name, to, gateway, interface)
    return on(state, name, routes=(*host(state, name).routes, *routes))


def stopped(state: LabState, name: str) -> LabState:
    """With an nginx that is stopped."""
    before = host(state, name).listeners
    changed = (
        replace(listener, pid=42, program="nginx", process_state="T") if listener.port == 80 else listener
        for listener in before
    )
    return on(state, name, listeners=tuple(changed))


def failing(state: LabState) -> LabState:
    return replace(state, trials=(Trial("c1", VIP, 80, "timed out"),))


RANGE, RESERVED = "ip_local_port_range", "ip_local_reserved_ports"
ALL_ARP = FilterRule("arp", "f", "c", "input", 0, 5, "drop", (), "drop")
POLICY = PolicyRule(100, "from all lookup main")
BPF = TrafficFilter("rs1-eth0", "ingress", "filter protocol ip bpf handle 0x1")
LIMIT = {"limit": {"rate": 1, "burst": 5, "per": "second", "inv": True}}
HALF = {"match": {"op": "==", "left": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "right": 0}}


def by_method(state: LabState, method: str) -> tuple[Target, ...]:
    """The targets, of which the first one has another forwarding method."""
    first, *others = http_service(state).targets
    return replace(first, method=method), *others


def ends_at(state: LabState, name: str) -> LabState:
    """A client's SYN was last seen coming in on that host."""
    sighting = Sighting(name, f"{name}-eth0", IN, "SYN", f"{CLIENT}:61000", f"{VIP}:80")
    return replace(state, trials=(Trial("c1", VIP, 80, "timed out", source_port=61000, seen=(sighting,)),))


def hops_limited(state: LabState, name: str, target: str) -> LabState:
    """With a TTL of 1 for packets to `target`."""
    hops = host(state, name).next_hops
    return on(state, name, next_hops=tuple(replace(one, hoplimit=one.target == target) for one in hops))


def small_window(state: LabState, name: str, window: int) -> LabState:
    """With a receive window in its routes."""
    hops = tuple(replace(hop, window=window) for hop in host(state, name).next_hops)
    return on(state, name, next_hops=hops)


def without_ports(state: LabState, ranges: str, reserved: str = "") -> LabState:
    """A client whose kernel found no free port."""
    state = on(state, "c1", ranges={RANGE: ranges, RESERVED: reserved})
    trial = Trial("c1", VIP, 80, UNREACHABLE, detail="Address already in use", usual=True)
    return replace(state, trials=(trial, *state.trials))


def files(state: LabState, name: str, now: int, most: int) -> LabState:
    """With an nginx that has so many file descriptors, and may have so many."""
    listeners = tuple(replace(listener, pid=42, program="nginx") for listener in host(state, name).listeners)
    nginx = Process(42, "nginx -p servers", "S", files=now, most=most)
    return on(state, name, listeners=listeners, processes=(nginx,))


def renamed(state: LabState, name: str) -> LabState:
    """Its interface has another name, and the new one has the kernel's settings."""
    state = link(setting(state, name, LAN__arp_ignore=0, LAN__arp_announce=0), name, interface="eth9")
    return next_hop(state, name, CLIENT)


def without_hop(state: LabState, name: str, target: str, source: str) -> tuple[NextHop, ...]:
    hops = host(state, name).next_hops
    return tuple(hop for hop in hops if (hop.target, hop.source) != (target, source))


def own_prohibited(state: LabState, name: str) -> LabState:
    """The kernel refuses what the host sends by itself, and forwards as before."""
    hops = host(state, name).next_hops
    own = tuple(hop if hop.inbound or hop.local else NextHop(hop.target, source=hop.source) for hop in hops)
    return on(state, name, next_hops=own, rules=(PolicyRule(32765, "from all iif lo prohibit"),))


def refused_by(state: LabState, name: str) -> LabState:
    """A client's connection was refused with a RST of that host's."""
    seen = Sighting(name, f"{name}-eth0", OUT, "RST", f"{VIP}:80", f"{CLIENT}:61000")
    return replace(state, trials=(Trial("c1", VIP, 80, REFUSED, source_port=61000, seen=(seen,)),))


def answers(state: LabState, name: str, outcome: str, detail: str = "", by: str = "") -> LabState:
    """With trials of that real server, tried from the director, that ended so."""
    trials = (
        replace(trial, outcome=outcome, detail=detail, server=by, connected=True)
        if trial.wanted == name
        else trial
        for trial in state.trials
    )
    return replace(state, trials=tuple(trials))


def denied(state: LabState, name: str) -> LabState:
    """A client gets an error from that host; the director does not."""
    seen = Sighting(name, f"{name}-eth0", OUT, "data", f"{VIP}:80", f"{CLIENT}:61000")
    trial = Trial("c1", VIP, 80, FAILED, source_port=61000, connected=True, detail="403", seen=(seen,))
    return replace(state, trials=(trial, *state.trials))


def program(state: LabState, name: str, program: str) -> LabState:
    """With another program that listens for http."""
    before = host(state, name).listeners
    changed = (
        replace(listener, pid=42, program=program) if listener.port == 80 else listener for listener in before
    )
    return on(state, name, listeners=tuple(changed))


LEGACY = "-t filter -A FORWARD -p tcp"


DENIED = Site("/run/lvs/rs1", changed=("line 36: deny all;",))
REJECTS = rule("input", "reject", HTTP_PORT, LIMIT)
AWAY = rule("prerouting", "dnat 203.0.113.9")
AT_A_RATE = rule("prerouting", "dnat 203.0.113.9", LIMIT)
TTL_1 = replace(rule("forward", ""), changes=("ip ttl",))
EXCEPT_SSH = (
    rule("input", "accept", {"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}}),
    rule("input", "accept", SSH_PORT),
    replace(rule("input", "drop"), handle=0),
)

BROKEN: list[tuple[str, str, str, Callable[[LabState], LabState]]] = [
    ("arp_answered", "dr", "rs1", lambda s: setting(s, "rs1", LAN__arp_ignore=0)),
    ("arp_answered", "dr", "rs2", lambda s: with_vip(s, "rs2", interface="rs2-eth0", label="rs2-eth0:0")),
    ("arp_ignore_on_lo", "dr", "rs1", lambda s: setting(s, "rs1", LAN__arp_ignore=0, lo__arp_ignore=1)),
    ("arp_ignore_on_lo", "dr", "rs1", lambda s: setting(s, "rs1", LAN__arp_ignore=0, default__arp_ignore=1)),
    ("arp_announced", "dr", "rs3", lambda s: setting(s, "rs3", LAN__arp_announce=0)),
    ("arp_announced", "dr", "rs3", lambda s: setting(s, "rs3", LAN__arp_announce=1)),
    ("vip_missing", "dr", "rs1", lambda s: without_vip(s, "rs1")),
    (
        "vip_missing",
        "tun",
        "rs1",
        lambda s: extra(without(s, "rs1", VIP), "rs1", "203.0.113.113", 32, "tunl0"),
    ),
    ("vip_missing", "tun", "rs2", lambda s: with_vip(s, "rs2", up=False)),
    ("rp_filter", "tun", "rs1", lambda s: setting(s, "rs1", all__rp_filter=1)),
    ("rp_filter", "tun", "rs1", lambda s: setting(s, "rs1", tunl0__rp_filter=1)),
    ("rp_filter", "tun", "r2", lambda s: on(s, "r2", settings={"conf.r2-eth1.rp_filter": 1})),
    ("no_gateway", "nat", "rs1", lambda s: next_hop(on(s, "rs1", routes=()), "rs1", CLIENT)),
    ("no_gateway", "nat", "rs1", lambda s: next_hop(s, "rs1", CLIENT, "172.16.0.254", "rs1-eth0")),
    ("no_gateway", "dr", "rs1", lambda s: next_hop(s, "rs1", CLIENT, "203.0.113.2", "rs1-eth0")),
    ("no_gateway", "tun", "rs3", lambda s: next_hop(s, "rs3", CLIENT)),
    ("direct_route", "nat", "rs1", lambda s: inside_client(s, "")),
    ("no_service", "nat", "d", lambda s: http(s, port=8080)),
    ("no_service", "dr", "d", lambda s: http(s, port=8080)),
    ("no_service", "tun", "d", lambda s: http(s, protocol="UDP")),
    ("no_service", "dr", "d", lambda s: director(s, services=())),
    ("no_service", "nat", "d", lambda s: http(s, targets=())),
    ("no_service", "dr", "d", marked_without_servers),
    ("no_service", "nat", "d", lambda s: http(s, port=8080, targets=(Target("172.16.0.2", 8080, 1),))),
    ("icmp_filtered", "tun", "r0", lambda s: on(s, "r0", filters=(rule("forward", "drop", TYPE_3),))),
    ("icmp_filtered", "tun", "c1", lambda s: on(s, "c1", filters=(rule("input", "drop", ONLY_PING),))),
    ("persistence", "nat", "d", lambda s: http(s, persistent=300)),
    ("persistence", "tun", "d", lambda s: http(s, persistent=60)),
    ("http_error", "dr", "rs1", lambda s: answers(s, "rs1", FAILED, "HTTP/1.1 404 Not Found")),
    ("http_error", "nat", "rs1", lambda s: answers(s, "rs1", WRONG_SERVER, by="hello")),
    ("http_error", "dr", "rs1", lambda s: on(answers(s, "rs1", RESET, "closed"), "rs1", site=DENIED)),
    ("http_error", "dr", "rs2", lambda s: on(denied(s, "rs2"), "rs2", site=DENIED)),
    ("wrong_program", "dr", "rs1", lambda s: program(answers(s, "rs1", TIMED_OUT), "rs1", "nc")),
    ("wrong_program", "dr", "rs1", lambda s: program(answers(s, "rs1", FAILED, "404"), "rs1", "python3")),
    ("no_space", "tun", "rs2", lambda s: on(s, "rs2", site=Site(unwritable=("/run/x: no space left",)))),
    ("bridge_port", "dr", "rs1", lambda s: failing(link(s, "rs1", master="br0"))),
    ("dest_nat", "dr", "c1", lambda s: on(s, "c1", filters=(rule("output", "dnat 203.0.113.9 81"),))),
    ("dest_nat", "dr", "rs1", lambda s: on(s, "rs1", filters=(AWAY,))),
    ("dest_nat", "nat", "r0", lambda s: ends_at(on(s, "r0", filters=(AT_A_RATE,)), "r0")),
    ("dest_nat", "nat", "rs1", lambda s: ends_at(on(s, "rs1", filters=(AT_A_RATE,)), "rs1")),
    ("dest_nat", "nat", "r0", lambda s: on(s, "r0", filters=(rule("prerouting", "redirect 81"),))),
    ("packet_mangled", "dr", "r0", lambda s: failing(on(s, "r0", filters=(TTL_1,)))),
    ("port_filtered", "dr", "rs1", lambda s: on(s, "rs1", filters=EXCEPT_SSH)),
    ("port_filtered", "dr", "rs3", lambda s: refused_by(on(s, "rs3", filters=(REJECTS,)), "rs3")),
    (
        "port_filtered",
        "dr",
        "rs2",
        lambda s: on(s, "rs2", filters=(rule("ingress", "fwd", family="netdev"),)),
    ),
    ("port_filtered", "nat", "d", lambda s: on(s, "d", filters=(rule("egress", "drop", family="netdev"),))),
    ("short_timeout", "dr", "d", lambda s: director(s, timeouts={"tcp": 2, "tcpfin": 120, "udp": 300})),
    ("server_deleted", "nat", "d", lambda s: connected(deleted(s), "172.16.0.2:80")),
    ("server_deleted", "nat", "d", lambda s: on(s, "d", scripts={"drain.sh": DRAIN + DELETES})),
    ("server_deleted", "nat", "d", lambda s: on(s, "d", scripts={"drain.sh": DRAIN + TODAYS})),
    ("no_ftp_helper", "nat", "d", lambda s: director(s, ftp_helper=False)),
    ("ports_apart", "dr", "d", two_ports),
    ("ports_apart", "tun", "d", lambda s: two_ports(s, persistent=300)),
    ("ports_apart", "dr", "d", lambda s: by_mark(s, 2)),
    ("checksum_offload", "nat", "rs1", lambda s: on(s, "rs1", offloads={"rs1-eth0": True})),
    ("checksum_offload", "dr", "c1", lambda s: on(s, "c1", offloads={"c1-eth0": True})),
    ("ip_forward", "nat", "d", lambda s: setting(s, "d", ip_forward=1, **{"d-eth1__forwarding": 1})),
    ("port_remapped", "dr", "rs2", lambda s: listening(s, "rs2", 21, 8000)),
    ("port_remapped", "tun", "rs2", lambda s: listening(s, "rs2", 21, 8000)),
    (
        "port_remapped",
        "dr",
        "d",
        lambda s: on(
            http(s, targets=(Target("203.0.113.12", 80, 1),)),
            "d",
            scripts={"rules.sh": "ippfvsadm -A -t 203.0.113.1:80 -R 203.0.113.11:8080"},
        ),
    ),
    ("link_down", "dr", "rs1", lambda s: link(s, "rs1", up=False)),
    ("link_down", "nat", "d", lambda s: link(s, "d", 1, carrier=False)),
    ("link_down", "tun", "c1", lambda s: on(s, "c1", links=host(s, "d").links)),
    ("link_down", "dr", "rs1", lambda s: next_hop(link(s, "rs1", up=False), "rs1", CLIENT)),
    ("arp_off", "dr", "d", lambda s: link(s, "d", arp=False)),
    (
        "arp_off",
        "dr",
        "rs2",
        lambda s: ends_at(on(s, "rs2", settings={"neigh.rs2-eth0.mcast_solicit": 0}), "rs2"),
    ),
    ("arp_off", "dr", "rs2", lambda s: ends_at(link(s, "rs2", broadcast="02:00:00:00:00:01"), "rs2")),
    (
        "address_missing",
        "nat",
        "rs1",
        lambda s: on(s, "rs1", addresses=(Address("rs1-eth0", "172.16.0.22", 24),)),
    ),
    ("wrong_netmask", "dr", "c1", lambda s: next_hop(prefix(s, "c1", 4), "c1", VIP, "", "c1-eth0")),
    ("wrong_netmask", "dr", "rs1", lambda s: next_hop(prefix(s, "rs1", 31), "rs1", CLIENT)),
    ("wrong_netmask", "nat", "r0", lambda s: next_hop(prefix(s, "r0", 25, 1), "r0", VIP)),
    ("wrong_netmask", "dr", "rs1", lambda s: with_vip(s, "rs1", prefix=24)),
    ("wrong_netmask", "tun", "rs1", lambda s: with_vip(s, "rs1", prefix=4)),
    ("duplicate_address", "dr", "rs2", lambda s: extra(s, "rs2", "203.0.113.11", 24)),
    ("duplicate_address", "nat", "rs1", lambda s: extra(s, "rs1", "172.16.0.1", 32, "lo")),
    ("duplicate_address", "tun", "r0", lambda s: extra(s, "r0", VIP, 32, "lo")),
    ("duplicate_address", "tun", "rs1", lambda s: extra(s, "rs1", CLIENT, 32, "lo")),
    ("wrong_neighbour", "dr", "r0", lambda s: static(s, "r0", VIP, "02:00:cb:00:71:0b", 1)),
    ("wrong_neighbour", "nat", "rs1", lambda s: static(s, "rs1", "172.16.0.1", NOBODY)),
    (
        "wrong_neighbour",
        "nat",
        "d",
        lambda s: static(director(s, engine="ebpf"), "d", "172.16.0.2", NOBODY, 1),
    ),
    (
        "proxy_arp",
        "dr",
        "rs1",
        lambda s: setting(s, "rs1", LAN__forwarding=1, LAN__proxy_arp_pvlan=1),
    ),
    (
        "proxy_arp",
        "dr",
        "r0",
        lambda s: routed(
            setting(s, "r0", all__proxy_arp=1),
            "r0",
            "203.0.113.11",
            "",
            "r0-eth0",
            Route("203.0.113.11", "", "r0-eth0"),
        ),
    ),
    ("no_route", "nat", "d", lambda s: next_hop(s, "d", CLIENT)),
    ("no_route", "dr", "c1", lambda s: next_hop(s, "c1", VIP)),
    ("no_route", "nat", "c1", lambda s: taking(s, "c1", VIP)),
    ("no_route", "tun", "r0", lambda s: taking(s, "r0", VIP)),
    ("no_gateway", "nat", "rs1", lambda s: taking(s, "rs1", CLIENT)),
    ("no_route", "tun", "r0", lambda s: on(s, "r0", routes=host(s, "r0").routes[-1:], next_hops=())),
    (
        "no_route",
        "dr",
        "r0",
        lambda s: routed(s, "r0", VIP, "", "", Route(VIP, "", "", "blackhole")),
    ),
    ("router_forwarding", "nat", "r0", lambda s: setting(s, "r0", ip_forward=0, LAN__forwarding=0)),
    ("router_forwarding", "tun", "r2", lambda s: setting(s, "r2", **{"r2-eth1__forwarding": 0})),
    ("port_filtered", "dr", "rs1", lambda s: on(s, "rs1", filters=(rule("input", "drop", HTTP_PORT),))),
    ("port_filtered", "nat", "rs2", lambda s: on(s, "rs2", filters=(rule("input", "reject", HIGH_PORTS),))),
    ("port_filtered", "tun", "rs1", lambda s: on(s, "rs1", filters=(rule("input", "drop", IPIP),))),
    ("port_filtered", "tun", "r2", lambda s: on(s, "r2", filters=(rule("forward", "drop", IPIP),))),
    ("port_filtered", "nat", "r0", lambda s: on(s, "r0", filters=(rule("forward", "drop", HTTP_PORT),))),
    ("port_filtered", "dr", "c1", lambda s: on(s, "c1", filters=(rule("input", "drop", FROM_HTTP),))),
    (
        "port_filtered",
        "dr",
        "rs1",
        lambda s: on(s, "rs1", filters=(replace(rule("input", "drop"), handle=0),)),
    ),
    (
        "port_filtered",
        "nat",
        "d",
        lambda s: on(director(s, engine="ipvs"), "d", filters=(rule("input", "drop", HTTP_PORT),)),
    ),
    (
        "source_nat",
        "dr",
        "r0",
        lambda s: on(s, "r0", filters=(rule("postrouting", "snat 203.0.113.200"),)),
    ),
    (
        "source_nat",
        "nat",
        "d",
        lambda s: on(director(s, engine="ipvs"), "d", filters=(rule("postrouting", "masquerade"),)),
    ),
    ("small_mtu", "dr", "r0", lambda s: link(s, "r0", 1, mtu=1400)),
    ("small_mtu", "nat", "d", lambda s: link(s, "d", 1, mtu=1400)),
    ("small_mtu", "tun", "rs1", lambda s: link(s, "rs1", mtu=1400)),
    ("slow_link", "dr", "rs1", lambda s: failing(link(s, "rs1", qdisc="tbf"))),
    ("slow_link", "dr", "rs3", lambda s: ends_at(link(s, "rs3", qdisc="pfifo"), "rs3")),
    ("short_ttl", "dr", "c1", lambda s: setting(s, "c1", ip_default_ttl=1)),
    ("short_ttl", "dr", "c1", lambda s: hops_limited(s, "c1", VIP)),
    ("short_ttl", "nat", "rs1", lambda s: setting(s, "rs1", ip_default_ttl=2)),
    ("director_vip", "dr", "d", lambda s: without_vip(s, "d")),
    ("director_vip", "nat", "d", lambda s: setting(s, "d", all__arp_ignore=8)),
    (
        "director_vip",
        "tun",
        "d",
        lambda s: on(s, "d", filters=(rule("input", "drop", {"match": {"right": VIP}}, family="arp"),)),
    ),
    (
        "director_down",
        "nat",
        "d",
        lambda s: replace(director(s, services=(), error="no director"), director_process=None),
    ),
    ("frozen", "dr", "rs1", lambda s: stopped(s, "rs1")),
    ("frozen", "tun", "rs1", lambda s: on(s, "rs1", processes=(Process(9, "tunl0", "T", tunnel=True),))),
    (
        "frozen",
        "nat",
        "d",
        lambda s: replace(
            director(s, services=(), error="no answer"), director_process=Process(7, "director", "T")
        ),
    ),
    ("wrong_rule", "nat", "d", lambda s: http(s, targets=(Target("172.16.0.3", 80, 1),))),
    ("wrong_rule", "nat", "d", lambda s: http(s, targets=(Target("172.16.0.9", 80, 1),))),
    ("wrong_rule", "dr", "d", lambda s: http(s, targets=(Target("203.0.113.99", 80, 1),))),
    ("wrong_rule", "dr", "d", lambda s: http(s, targets=(Target("203.0.113.254", 80, 1),))),
    ("quiesced", "nat", "d", lambda s: http(s, targets=weighed(s, 0, 0, 0))),
    ("quiesced", "dr", "d", lambda s: http(s, targets=(Target("203.0.113.11", 80, 1, "Route", 2, 0, 1, 1),))),
    ("table_full", "nat", "d", lambda s: director(s, entries=8, limit=8)),
    ("drop_packet", "dr", "d", lambda s: director(s, sysctls={"drop_packet": 3, "am_droprate": 1})),
    ("arp_filtered", "dr", "rs1", lambda s: on(s, "rs1", filters=(ALL_ARP,))),
    ("arp_filtered", "nat", "d", lambda s: on(s, "d", filters=(replace(ALL_ARP, handle=0),))),
    ("duplicate_mac", "dr", "rs3", lambda s: link(s, "rs3", mac="02:00:cb:00:71:0b")),
    ("wrong_method", "dr", "d", lambda s: http(s, targets=by_method(s, "Masq"))),
    ("wrong_method", "nat", "d", lambda s: http(s, targets=by_method(s, "Route"))),
    ("wrong_method", "tun", "d", lambda s: http(s, targets=by_method(s, "Route"))),
    ("tc_filter", "dr", "rs1", lambda s: on(ends_at(s, "rs1"), "rs1", traffic_filters=(BPF,))),
    ("no_files", "dr", "rs2", lambda s: files(s, "rs2", 8, 8)),
    ("no_files", "dr", "d", lambda s: replace(s, director_process=Process(7, "lvs", "S", files=9, most=5))),
    ("link_down", "dr", "rs2", lambda s: renamed(s, "rs2")),
    ("small_mtu", "dr", "rs2", lambda s: link(s, "rs2", mtu=68)),
    ("port_filtered", "dr", "rs1", lambda s: on(s, "rs1", filters=(rule("input", "drop", HALF),))),
    (
        "port_filtered",
        "dr",
        "rs1",
        lambda s: on(ends_at(s, "rs1"), "rs1", filters=(rule("input", "drop", LIMIT),)),
    ),
    (
        "not_listening",
        "nat",
        "rs1",
        lambda s: on(s, "rs1", filters=(rule("prerouting", "redirect 81", HTTP_PORT),)),
    ),
    (
        "not_listening",  # of some connections only
        "tun",
        "rs1",
        lambda s: on(
            ends_at(s, "rs1"), "rs1", filters=(rule("prerouting", "redirect 81", HTTP_PORT, LIMIT),)
        ),
    ),
    (
        "no_gateway",
        "dr",
        "rs1",
        lambda s: on(
            s,
            "rs1",
            rules=(PolicyRule(100, f"from {VIP} lookup 77"),),
            next_hops=(*without_hop(s, "rs1", CLIENT, VIP), NextHop(CLIENT, source=VIP)),
        ),
    ),
    ("not_listening", "dr", "rs2", lambda s: listening(s, "rs2", 21)),
    ("not_listening", "nat", "rs2", lambda s: listening(s, "rs2", 21, 80)),
    (
        "not_listening",
        "tun",
        "rs1",
        lambda s: on(s, "rs1", listeners=(Listener("TCP", "0.0.0.0", 21), Listener("TCP", "192.0.2.2", 80))),
    ),
    ("xdp_program", "dr", "rs1", lambda s: failing(link(s, "rs1", xdp=7))),
    (
        "ipsec_policy",
        "nat",
        "rs2",
        lambda s: on(ends_at(s, "rs2"), "rs2", ipsec=("src 0.0.0.0/0 action block",)),
    ),
    ("iptables_rule", "dr", "r0", lambda s: on(ends_at(s, "r0"), "r0", legacy_rules=(f"{LEGACY} -j DROP",))),
    ("engine_detached", "dr", "d", lambda s: failing(on(s, "d", filters=()))),
    ("engine_detached", "dr", "d", lambda s: failing(director(s, engine="ebpf"))),
    ("http_error", "dr", "rs1", lambda s: on(s, "rs1", site=Site("/run/x", missing=("index.html",)))),
    ("http_error", "dr", "rs1", lambda s: on(s, "rs1", site=Site(changed=("line 8: send_timeout 1ms;",)))),
    ("two_masters", "ha", "d2", lambda s: both_own_the_vip(s)),
    ("two_masters", "ha", "d2", lambda s: on(both_own_the_vip(s), "d2", filters=(NO_VRRP,))),
    ("two_masters", "ha", "d1", lambda s: link(both_own_the_vip(s), "d1", qdisc="pfifo")),
    (
        "two_masters",
        "ha",
        "d2",
        lambda s: on(both_own_the_vip(s), "d2", traffic_filters=(TrafficFilter("d2-eth0", "ingress", "x"),)),
    ),
    (
        "two_masters",
        "ha",
        "d2",
        lambda s: on(
            both_own_the_vip(replace(s, pair=tuple(replace(member, settings={}) for member in s.pair))),
            "d2",
            filters=(rule("input", "drop", HEARTBEATS),),
        ),
    ),
    ("takeover_differs", "ha", "d2", lambda s: paired(s, "d2", settings={"advert_int": "2"})),
    (
        "takeover_differs",
        "ha",
        "d2",
        lambda s: paired(
            both_own_the_vip(s), "d2", settings={"virtual_ipaddress": "203.0.113.1 203.0.113.9"}
        ),
    ),
    ("takeover_down", "ha", "d1", lambda s: on(s, "d1", processes=host(s, "d1").processes[:3])),
    ("checks_down", "ha", "d2", lambda s: on(s, "d2", processes=without_checks(s, "d2"))),
    (
        "sync_differs",
        "ha",
        "d2",
        lambda s: paired(s, "d2", daemons=(SyncDaemon("backup", "d2-eth0", 51),)),
    ),
    ("sync_differs", "ha", "d1", lambda s: paired(s, "d1", daemons=(SyncDaemon("master", "d1-eth1", 7),))),
    (
        "garp_lost",
        "ha",
        "r0",
        lambda s: on(s, "r0", neighbours=(Neighbour(VIP, "r0-eth1", "02:00:cb:00:71:03", "STALE"),)),
    ),
    (
        "check_wrong",
        "ha",
        "d1",
        lambda s: paired(s, "d1", path="/nowhere", down=(Down("203.0.113.11", 80, "status 404"),)),
    ),
    (
        "garp_lost",
        "ha",
        "r0",
        lambda s: on(s, "r0", filters=(NOT_FOR_OTHERS,)),
    ),
    (
        "garp_lost",
        "ha",
        "r0",
        lambda s: on(s, "r0", filters=(NO_BROADCASTS,)),
    ),
    ("garp_lost", "ha", "r0", lambda s: set_on(s, "r0", "conf.r0-eth1.drop_gratuitous_arp")),
    ("frozen", "ha", "d2", lambda s: stopped_takeover(s, "d2")),
    ("frozen", "ha", "d1", lambda s: stopped_checks(s, "d1")),
    ("director_down", "ha", "d2", lambda s: paired(s, "d2", process=None, director=DirectorState(error="x"))),
    ("small_window", "dr", "c1", lambda s: small_window(s, "c1", 70)),
    ("small_window", "nat", "rs2", lambda s: small_window(s, "rs2", 70)),
    ("no_ports", "dr", "c1", lambda s: without_ports(s, "32768 60999", "32768-50000,50001-60999")),
    ("no_ports", "nat", "c1", lambda s: without_ports(s, "40000 40000")),
]
HARMLESS: list[tuple[str, str, Callable[[LabState], LabState]]] = [
    (
        "who has been asked need not ask",
        "nat",
        lambda s: on(s, "rs1", settings={"neigh.rs1-eth0.mcast_solicit": 0}),
    ),
    ("a timeout of seconds", "dr", lambda s: on(s, "rs1", site=Site(changed=("line 8: send_timeout 9s;",)))),
    ("a window of several segments", "dr", lambda s: small_window(s, "c1", 14_600)),
    ("a small window of a router", "dr", lambda s: small_window(s, "r0", 70)),
    (
        "few ports, and nobody lacks one",
        "dr",
        lambda s: replace(without_ports(s, "40000 40001"), trials=s.trials),
    ),
    ("lo down: its local routes stay", "dr", lambda s: with_vip(s, "rs1", up=False)),
    ("a local route instead of the VIP", "dr", local_route_alone),
    ("a router's rule for packets of its own: iif lo prohibit", "dr", lambda s: own_prohibited(s, "r0")),
    ("arp_ignore for all", "dr", lambda s: setting(s, "rs1", LAN__arp_ignore=0, all__arp_ignore=1)),
    ("arp_ignore 2", "dr", lambda s: setting(s, "rs1", LAN__arp_ignore=2)),
    (
        "scope host and arp_ignore 3",
        "dr",
        lambda s: setting(with_vip(s, "rs1", scope="host"), "rs1", LAN__arp_ignore=3),
    ),
    (
        "a filter of ARP",
        "dr",
        lambda s: setting(
            on(s, "rs1", filters=(rule("input", "drop", {"match": {"right": VIP}}, family="arp"),)),
            "rs1",
            LAN__arp_ignore=0,
        ),
    ),
    ("no router asks there", "tun", lambda s: setting(s, "rs1", LAN__arp_ignore=0, LAN__arp_announce=0)),
    ("loose", "tun", lambda s: setting(s, "rs1", all__rp_filter=1, tunl0__rp_filter=2)),
    ("strict where the way is", "tun", lambda s: setting(s, "rs1", LAN__rp_filter=1)),
    ("strict, one interface", "dr", lambda s: setting(s, "rs1", all__rp_filter=1)),
    (
        "another address as well",
        "nat",
        lambda s: on(s, "rs1", addresses=(*host(s, "rs1").addresses, Address("rs1-eth0", "172.16.0.77", 24))),
    ),
    (
        "the clients' network alone",
        "nat",
        lambda s: on(s, "rs1", routes=(Route("198.51.100.0/24", "172.16.0.1", "rs1-eth0"),)),
    ),
    ("a client inside, by the director", "nat", lambda s: inside_client(s, "172.16.0.1")),
    ("http by a mark", "dr", lambda s: by_mark(s, 1)),
    ("all ports", "dr", lambda s: director(s, services=(replace(http_service(s), port=0),))),
    ("by the client", "dr", lambda s: two_ports(http(s, scheduler="sh"), scheduler="sh")),
    ("a filter", "tun", lambda s: on(s, "c1", filters=(rule("output", "drop", TYPE_3),))),
    (
        "such messages matter in VS-TUN",
        "nat",
        lambda s: on(s, "r0", filters=(rule("forward", "drop", TYPE_3),)),
    ),
    ("a minute", "nat", lambda s: director(s, timeouts={"tcp": 60, "tcpfin": 5, "udp": 5})),
    ("drained", "nat", lambda s: on(s, "d", scripts={"drain.sh": DRAIN + QUIETS + DELETES})),
    ("it had ended", "nat", lambda s: connected(deleted(s), "172.16.0.2:80", "TIME_WAIT")),
    (
        "no ftp",
        "nat",
        lambda s: director(http(s, scheduler="rr"), ftp_helper=False, services=s.director.services[:1]),
    ),
    ("the helper is for VS-NAT", "dr", lambda s: director(s, ftp_helper=False)),
    ("lo", "nat", lambda s: on(s, "rs1", offloads={"lo": True})),
    (
        "filtered",
        "nat",
        lambda s: on(
            setting(s, "d", ip_forward=1, **{"d-eth1__forwarding": 1}),
            "d",
            filters=(rule("prerouting", "drop", FROM_SERVERS),),
        ),
    ),
    (
        "kernel IPVS",
        "nat",
        lambda s: on(
            director(setting(s, "d", ip_forward=1, **{"d-eth1__forwarding": 1}), engine="ipvs"),
            "d",
            filters=(),  # that of the other engines
        ),
    ),
    ("no forwarding in VS-DR", "dr", lambda s: setting(s, "d", ip_forward=1, **{"d-eth0__forwarding": 1})),
    (
        "redirected",
        "dr",
        lambda s: on(
            listening(s, "rs2", 21, 8000), "rs2", filters=(rule("prerouting", "redirect 8000", HTTP_PORT),)
        ),
    ),
    ("a redirected port in VS-NAT", "nat", lambda s: redirects(listening(s, "rs1", 21, 8000), "rs1")),
    (
        "a filter that the engine bypasses",
        "nat",
        lambda s: on(s, "d", filters=(rule("input", "drop", HTTP_PORT),)),
    ),
    ("a filter of another port", "dr", lambda s: on(s, "rs1", filters=(rule("input", "drop", SSH_PORT),))),
    ("a rate that no trial exceeded", "dr", lambda s: on(s, "rs1", filters=(rule("input", "drop", LIMIT),))),
    ("a filter of tc that nobody meets", "dr", lambda s: on(s, "rs1", traffic_filters=(BPF,))),
    ("a rule of policy routing that leads the same way", "dr", lambda s: on(s, "rs1", rules=(POLICY,))),
    ("many files", "dr", lambda s: files(s, "rs2", 8, 1024)),
    ("a limit that is not known", "dr", lambda s: files(s, "rs2", 8, 0)),
    ("a bridge that hurts nobody", "dr", lambda s: link(s, "rs1", master="br0")),
    ("a TTL that is set, and nobody fails", "dr", lambda s: on(s, "r0", filters=(TTL_1,))),
    ("another server answers", "nat", lambda s: answers(s, "rs1", WRONG_SERVER, by="rs2")),
    ("a configuration that serves", "dr", lambda s: on(s, "rs1", site=DENIED)),
    ("a program that serves", "dr", lambda s: program(s, "rs1", "haproxy")),
    ("a filter of lo", "dr", lambda s: on(s, "rs1", filters=(rule("input", "drop", FROM_LO, HTTP_PORT),))),
    (
        "source NAT that the engine bypasses",
        "nat",
        lambda s: on(s, "d", filters=(rule("postrouting", "masquerade"),)),
    ),
    ("masquerading", "dr", lambda s: on(s, "r0", filters=(rule("postrouting", "masquerade"),))),
    ("a smaller MTU of an end", "dr", lambda s: link(s, "rs1", mtu=1400)),
    (
        "a smaller MTU of all",
        "nat",
        lambda s: link(link(link(s, "d", mtu=1400), "r0", mtu=1400, at=1), "rs1"),
    ),
    ("proxy ARP between two segments", "dr", lambda s: setting(s, "r0", all__proxy_arp=1)),
    ("proxy ARP without forwarding", "dr", lambda s: setting(s, "rs1", LAN__proxy_arp_pvlan=1)),
    ("the right static neighbour", "dr", lambda s: static(s, "r0", VIP, "02:00:cb:00:71:02", 1)),
    ("learnt, not static", "dr", lambda s: static(s, "r0", VIP, NOBODY, 1, state_of="STALE")),
    ("an ARP table of its own", "nat", lambda s: static(s, "d", "172.16.0.2", NOBODY, 1)),
    ("one server quiesced", "nat", lambda s: http(s, targets=weighed(s, 1, 0, 1))),
    ("a lower MTU of nobody's concern", "nat", lambda s: link(s, "c1", mtu=1280)),
    ("no default route where none is needed", "dr", lambda s: next_hop(s, "d", CLIENT)),
    ("a netmask that leads the same way", "nat", lambda s: prefix(s, "rs1", 28)),
    ("the VIP with a network in VS-TUN", "tun", lambda s: with_vip(s, "rs1", prefix=24)),
    ("another address", "dr", lambda s: extra(s, "c2", "10.9.9.9", 24)),
    ("a program on lo of the director", "nat", lambda s: http(s, targets=(Target("127.0.0.1", 8080, 1),))),
    ("a distant client", "nat", lambda s: failing(link(s, "c1", qdisc="netem"))),
    ("the director's own httpd", "nat", lambda s: http(s, targets=(Target("203.0.113.2", 8080, 1),))),
    ("a defence that waits", "nat", lambda s: director(s, sysctls={"drop_packet": 1, "am_droprate": 10})),
    ("a table that is nearly full", "nat", lambda s: director(s, entries=99, limit=100)),
    ("an impaired client that is served", "nat", lambda s: link(s, "c1", qdisc="netem")),
    ("a TTL for every way", "nat", lambda s: setting(s, "c1", ip_default_ttl=3)),
    ("a director of which nothing is known", "nat", lambda s: director(s, error="no answer")),
]


VIP6, CLIENT6, RS1 = "2001:db8:cb00:71::1", "2001:db8:c633:64::101", "2001:db8:cb00:71::11"


def holds(state: LabState, name: str, device: str, detection: str = "") -> LabState:
    """A real server that has the VIP in IPv6 only there."""
    others = (address for address in host(state, name).addresses if address.address != VIP6)
    return on(state, name, addresses=(*others, Address(device, VIP6, 64, detection=detection)))


def without_vip6(state: LabState, name: str) -> LabState:
    return without(state, name, VIP6)


DENIES = "flags=O\npython3 router_discovery.py announce r0-eth1 $flags\n"


def learning(state: LabState) -> LabState:
    """The real servers learn their default route, but one has heard that its router is none."""
    for name in ("rs1", "rs2", "rs3"):
        state = set_on(state, name, f"conf.{name}-eth0.accept_ra")
        gateway = "" if name == "rs1" else link_local("02:00:cb:00:71:fe")
        for client in state.clients:
            state = next_hop(state, name, client.address, gateway, f"{name}-eth0" if gateway else "")
    entry = Neighbour(link_local("02:00:cb:00:71:fe"), "rs1-eth0", "02:00:cb:00:71:fe", "STALE")
    return on(state, "rs1", neighbours=(entry,))


def _icmpv6(op: str, right: object) -> dict[str, Any]:
    left = {"payload": {"protocol": "icmpv6", "field": "type"}}
    return {"match": {"op": op, "left": left, "right": right}}


TOO_BIG = _icmpv6("==", "packet-too-big")
ONLY_PING6 = _icmpv6("!=", {"set": ["echo-request", "echo-reply", "nd-neighbor-solicit"]})


IN_IPV6: list[tuple[str, str, Callable[[LabState], LabState]]] = [
    ("dad_failed", "rs1", lambda s: holds(s, "rs1", "rs1-eth0", "dadfailed")),
    ("dad_failed", "rs1", lambda s: holds(s, "rs1", "rs1-eth0", "tentative")),
    ("arp_answered", "rs1", lambda s: holds(s, "rs1", "rs1-eth0")),
    ("vip_missing", "rs1", lambda s: without_vip6(s, "rs1")),
    ("no_gateway", "rs1", lambda s: next_hop(s, "rs1", CLIENT6)),
    (
        "port_filtered",
        "rs1",
        lambda s: on(s, "rs1", filters=(rule("input", "drop", HTTP_PORT, family="ip6"),)),
    ),
    (
        "port_filtered",
        "c1",
        lambda s: on(s, "c1", filters=(rule("output", "drop", HTTP_PORT, family="inet"),)),
    ),
    ("router_forwarding", "r0", lambda s: setting(s, "r0", all__forwarding=0)),
    ("router_flag_lost", "r0", lambda s: set_on(learning(s), "r0", "conf.r0-eth1.forwarding", 0)),
    ("router_flag_lost", "r0", lambda s: on(learning(s), "r0", scripts={"announce.sh": DENIES})),
    ("http_error", "rs1", lambda s: answers(s, "rs1", FAILED, "HTTP/1.1 404 Not Found")),
    ("quiesced", "d", lambda s: http(s, targets=(Target(RS1, 80, 0, "Route"),))),
]


@pytest.mark.parametrize(("cause", "place", "change"), IN_IPV6)
def test_causes_in_ipv6(cause: str, place: str, change: Callable[[LabState], LabState]) -> None:
    (found,) = diagnose(change(healthy("dr6")))
    assert (found.cause, found.host) == (cause, place)
    assert "net.ipv4" not in found.repair
    assert "203.0.113" not in found.repair


@pytest.mark.parametrize(("name", "hook", "match"), [("r0", "forward", TOO_BIG), ("c1", "input", ONLY_PING6)])
def test_a_filter_of_packet_too_big(name: str, hook: str, match: dict[str, Any]) -> None:
    filters = (rule(hook, "drop", match, family="ip6"),)
    tunnels = on(replace(healthy("dr6"), method="tun"), name, filters=filters)
    (found,) = packet_too_big_filtered.find(tunnels)
    assert (found.cause, found.host) == ("packet_too_big_filtered", name)
    assert "icmpv6 type packet-too-big accept" in found.repair
    assert list(packet_too_big_filtered.find(replace(tunnels, method="dr"))) == []


def test_a_router_of_ipv6_forwards_what_all_says() -> None:
    """A host that has its route from the plan does not mind what its router says of itself."""
    assert diagnose(set_on(healthy("dr6"), "r0", "conf.r0-eth1.forwarding", 0)) == []


NA_DROPPED = rule(
    "input",
    "drop",
    {
        "match": {
            "op": "==",
            "left": {"payload": {"protocol": "icmpv6", "field": "type"}},
            "right": "nd-neighbor-advert",
        }
    },
    family="ip6",
)
NO_VRRP6 = rule(
    "input",
    "drop",
    {"match": {"op": "==", "left": {"payload": {"protocol": "ip6", "field": "nexthdr"}}, "right": "vrrp"}},
    family="ip6",
)
TWO_IN_IPV6: list[tuple[str, str, Callable[[LabState], LabState], str]] = [
    (
        "two_masters",
        "d2",
        lambda s: on(both_own_the_vip(s), "d2", filters=(NO_VRRP6,)),
        "nft delete rule ip6 f c handle 5",
    ),
    (
        "garp_lost",
        "r0",
        lambda s: set_on(s, "r0", "conf.r0-eth1.drop_unsolicited_na"),
        "sysctl -w net.ipv6.conf.r0-eth1.drop_unsolicited_na=0",
    ),
    ("garp_lost", "r0", lambda s: on(s, "r0", filters=(NA_DROPPED,)), "nft delete rule ip6 f c handle 5"),
    (
        "takeover_differs",
        "d2",
        lambda s: paired(s, "d2", settings={"virtual_ipaddress": ""}),
        f"{VIP6}/128 dev d2-eth0",
    ),
    (
        "check_wrong",
        "d1",
        lambda s: paired(s, "d1", path="/nowhere", down=(Down(RS1, 80, "status 404"),)),
        "path",
    ),
    (
        "no_service",
        "d1",
        lambda s: http(s, targets=()),
        f"ippfvsadm -A -t [{VIP6}]:80 -R [{RS1}]:80\n",
    ),
]


@pytest.mark.parametrize(("cause", "place", "change", "repair"), TWO_IN_IPV6)
def test_causes_of_two_directors_in_ipv6(
    cause: str, place: str, change: Callable[[LabState], LabState], repair: str
) -> None:
    assert diagnose(healthy("ha6")) == []
    (found,) = diagnose(change(healthy("ha6")))
    assert (found.cause, found.host) == (cause, place)
    assert repair in found.repair
    assert "net.ipv4" not in found.repair


def test_checks_that_remove_a_server_with_its_connections_are_named_beside_a_check_that_is_wrong() -> None:
    """As in e27: the page of the checks is gone, the server still serves, and its connections hang."""
    state = healthy("ha")
    targets = tuple(target for target in http_service(state).targets if target.address != "203.0.113.11")
    state = connected(http(state, targets=targets), "203.0.113.11:80")
    down = Down("203.0.113.11", 80, "status 404")
    found = {cause.cause: cause for cause in diagnose(paired(state, "d1", path="/index.html", down=(down,)))}
    assert list(found) == ["check_wrong", "server_deleted"]
    assert "deleted by the health checks" in found["server_deleted"].evidence
    repair = found["server_deleted"].repair
    assert "on d1" in repair
    assert "\\n    inhibit_on_failure/' keepalived.conf" in repair
    assert "pkill -HUP" in repair
    assert "-w 0" not in repair


def test_a_healthy_lab_in_ipv6_has_no_cause() -> None:
    state = healthy("dr6")
    assert diagnose(state) == []
    of_ipv4 = on(state, "rs1", filters=(rule("input", "drop", family="ip"),))
    assert diagnose(of_ipv4) == []


def test_a_link_that_was_down_needs_its_addresses_in_ipv6() -> None:
    state = link(healthy("dr6"), "rs1", up=False)
    left = tuple(address for address in host(state, "rs1").addresses if address.interface == "lo")
    (found,) = diagnose(on(state, "rs1", addresses=left))
    assert f"ip address add {RS1}/64 dev rs1-eth0 nodad" in found.repair


@pytest.mark.parametrize("method", METHODS)
def test_a_healthy_lab_has_no_cause(method: str) -> None:
    assert diagnose(healthy(method)) == []


@pytest.mark.parametrize(("cause", "method", "place", "change"), BROKEN)
def test_each_cause_is_found_and_nothing_else(
    cause: str, method: str, place: str, change: Callable[[LabState], LabState]
) -> None:
    found = diagnose(change(healthy(method)))
    assert [(named.cause, named.host) for named in found] == [(cause, place)]
    assert all((found[0].evidence, found[0].why, found[0].repair))


@pytest.mark.parametrize(
    ("lab", "change"),
    [
        # The client of direct_route's state has no routes at all.
        *((method, change) for cause, method, _, change in BROKEN if cause != "direct_route"),
        *(("dr6", change) for _, _, change in IN_IPV6),
        *(("ha6", change) for _, _, change, _ in TWO_IN_IPV6),
    ],
)
def test_what_follows_from_a_cause_is_not_shown_as_another_fault(
    lab: str, change: Callable[[LabState], LabState]
) -> None:
    state = change(healthy(lab))
    explained = {host for cause in diagnose(state) for host in (cause.host, *cause.affects)}
    assert {difference.host for difference in differences(state)} <= explained


def test_an_interface_that_is_gone_has_no_link_local_address() -> None:
    router = HostState("r0", "router", (Plug("r0-eth1", "lan", "fd00::1", 64),))
    assert list(link_locals(router, router.plugs[0])) == []


@pytest.mark.parametrize(
    ("method", "change"), [entry[1:] for entry in HARMLESS], ids=[entry[0] for entry in HARMLESS]
)
def test_a_harmless_change_is_not_a_cause(method: str, change: Callable[[LabState], LabState]) -> None:
    assert diagnose(change(healthy(method))) == []


@pytest.mark.parametrize("change", [small_window, hops_limited])
def test_a_metric_is_removed_from_the_route_that_is_used(
    change: Callable[[LabState, str, Any], LabState],
) -> None:
    """Which is not always the default route."""
    state = change(healthy("dr"), "c1", 70 if change is small_window else VIP)
    more = Route("203.0.113.0/24", "198.51.100.254", "c1-eth0")
    (found,) = diagnose(on(state, "c1", routes=(*host(state, "c1").routes, more)))
    assert found.repair == f"ip route replace {more}"


def test_every_cause_is_tested() -> None:
    assert {broken[0] for broken in (*BROKEN, *IN_IPV6)} | {"packet_too_big_filtered"} == set(CAUSES)


def test_two_healthy_directors_have_no_cause() -> None:
    state = healthy("ha")
    assert diagnose(state) == []
    assert (state.active, state.vip_owners, state.director_host.name) == ("d1", ("d1",), "d1")
    assert [member.name for member in state.pair] == ["d1", "d2"]


def test_a_director_without_power_needs_its_cables_first() -> None:
    dead = paired(healthy("ha"), "d2", process=None, director=DirectorState(error="x"))
    state = link(link(dead, "d2", up=False), "d2", at=1, up=False)
    assert {(cause.cause, cause.host) for cause in diagnose(state)} == {("link_down", "d2")}
    assert {cause.cause for cause in diagnose(link(dead, "d2", up=False))} == {"link_down", "director_down"}


def test_the_filter_between_two_masters_is_deleted() -> None:
    (found,) = diagnose(on(both_own_the_vip(healthy("ha")), "d2", filters=(NO_VRRP,)))
    assert found.repair == "nft delete rule ip f c handle 5"


def test_two_masters_between_which_nothing_is_filtered() -> None:
    """The one to which the router does not send starts again, hears the other, and gives way."""
    (found,) = diagnose(both_own_the_vip(healthy("ha")))
    assert found.host == "d2"
    assert found.repair.splitlines()[-1] == START_TAKEOVER


def test_what_keeps_gratuitous_arp_out_is_removed() -> None:
    state = on(healthy("ha"), "r0", filters=(NOT_FOR_OTHERS,))
    (found,) = diagnose(set_on(state, "r0", "conf.r0-eth1.drop_gratuitous_arp"))
    assert found.repair.splitlines() == [
        "nft delete rule arp f c handle 5",
        "sysctl -w net.ipv4.conf.all.drop_gratuitous_arp=0",
        "sysctl -w net.ipv4.conf.r0-eth1.drop_gratuitous_arp=0",
        f"ip neigh flush to {VIP} dev r0-eth1",
    ]


def test_a_check_of_another_port_is_deleted() -> None:
    down = (Down("203.0.113.11", 80, "connection refused"),)
    (found,) = diagnose(paired(healthy("ha"), "d1", other_ports=(8080,), down=down))
    assert found.repair.splitlines()[0] == "sed -i '/^ *connect_port 8080$/d' keepalived.conf"
    assert "path" not in found.repair


def test_a_server_that_does_not_serve_is_taken_out_rightly() -> None:
    down = (Down("203.0.113.11", 80, "connection refused"),)
    state = replace(paired(healthy("ha"), "d1", down=down), trials=())
    assert diagnose(state) == []


def test_the_catalogue_of_faults_has_every_cause_and_more() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names) >= 40
    assert sum(not kind.by_issue for kind in KINDS) >= 10  # besides what anybody has asked for
    assert {kind.cause for kind in KINDS} <= {*CAUSES, "", LOCATED}
    of_two_directors = set(FAULTS)
    untried = set(CAUSES) - {kind.cause for kind in KINDS} - of_two_directors
    # A client on another network, what exists in IPv6 only, and a program that labs do not install.
    of_ipv6 = {"dad_failed", "packet_too_big_filtered", "router_flag_lost"}
    assert untried == {"direct_route", "iptables_rule", *of_ipv6}
    assert of_two_directors <= set(CAUSES)


@pytest.mark.parametrize("method", METHODS)
def test_a_fault_of_the_catalogue_is_complete(method: str) -> None:
    plan = plan_for(method, LabOptions(engine="scapy", scheduler="rr"))
    faults = [
        fill(plan, kind, variant, node)
        for kind, variant, role in kinds_for(method)
        for node in hosts(plan, role)
    ]
    names = {node.name for node in plan.topology.nodes}
    for fault in faults:
        assert {host for host, _ in (*fault.typed, *fault.undo)} <= names
        assert not re.findall(
            r"<\w+>(?!/dev)", " ".join(command for _, command in (*fault.typed, *fault.undo))
        )
    assert draw(plan, "scapy", random.Random(1), 5) == draw(plan, "scapy", random.Random(1), 5)


def test_a_cause_explains_others_that_exist() -> None:
    for name in titles():
        explained = getattr(import_module(f"doctor.causes.{name}"), "EXPLAINS", ())
        assert set(explained) <= set(titles()) - {name}


def test_what_a_cause_explains_on_its_host_is_left_out_and_on_others_is_not() -> None:
    state = next_hop(next_hop(link(healthy("dr"), "rs1", up=False), "rs1", CLIENT), "rs2", CLIENT)
    assert [(cause.cause, cause.host) for cause in diagnose(state)] == [
        ("link_down", "rs1"),
        ("no_gateway", "rs2"),
    ]


def test_titles_match_the_diagnosis() -> None:
    assert titles() == CAUSES


def test_the_page_lists_all_causes_in_order() -> None:
    page = PAGE.read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)
    assert rows == list(CAUSES.items())
    assert f"None of the {len(rows)} known causes applies." in page


def test_the_larger_value_counts_and_both_are_shown() -> None:
    found = diagnose(setting(healthy("tun"), "rs1", all__rp_filter=1))[0]
    assert "rp_filter is 1 for all, 0 for tunl0" in found.evidence
    assert found.repair == "sysctl -w net.ipv4.conf.all.rp_filter=0"


def test_a_counter_above_zero_is_evidence() -> None:
    state = on(without_vip(healthy("dr"), "rs1"), "rs1", counters={"IpInAddrErrors": 7})
    assert "IpInAddrErrors is 7" in diagnose(state)[0].evidence


def test_the_repair_of_a_script() -> None:
    found = diagnose(on(healthy("nat"), "d", scripts={"drain.sh": DRAIN + DELETES}))[0]
    assert found.repair == f"sed -i 's|^ *{DELETES.strip()}|{QUIETS.strip()}|' drain.sh"


def test_the_repair_of_a_script_that_sed_would_misread() -> None:
    found = diagnose(on(healthy("nat"), "d", scripts={"drain.sh": DRAIN + "ippfvsadm -D -t $1 -R $2\n"}))[0]
    assert found.repair.splitlines() == [
        "# in drain.sh, instead of: ippfvsadm -D -t $1 -R $2",
        "# ipvsadm -e -t $1 -r $2 -m -w 0",
    ]


def test_two_causes_on_two_hosts_are_two() -> None:
    state = without_vip(setting(healthy("dr"), "rs1", LAN__arp_ignore=0), "rs3")
    assert [(cause.cause, cause.host) for cause in diagnose(state)] == [
        ("arp_answered", "rs1"),
        ("vip_missing", "rs3"),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_unreadable_hosts_have_no_cause(method: str) -> None:
    state = healthy(method)
    blind = tuple(HostState(known.name, known.role, known.plugs, error="gone") for known in state.hosts)
    dead = director(replace(state, hosts=blind), services=(), connections=(), timeouts={}, error="no answer")
    assert diagnose(dead) == []
