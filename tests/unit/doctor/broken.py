"""Changes that break a recorded state, or only look as if they did: what the tests of causes are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from doctor.state import (
    FAILED,
    IN,
    NOTHING,
    OUT,
    REFUSED,
    UNREACHABLE,
    Address,
    Connection,
    FilterRule,
    HostState,
    LabState,
    Link,
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
    Target,
    TrafficFilter,
    Trial,
)
from tests.unit.doctor.recorded import director, host, http, http_service, on, setting, without

VIP, CLIENT = "203.0.113.1", "198.51.100.101"


def matching(protocol: str, field: str, right: Any, op: str = "==") -> dict[str, Any]:
    """A condition on a header's field, as `nft -j` prints it."""
    return {"match": {"op": op, "left": {"payload": {"protocol": protocol, "field": field}}, "right": right}}


ONLY_PING = matching("icmp", "type", {"set": ["echo-request", "echo-reply"]}, "!=")
TYPE_3 = matching("icmp", "type", "destination-unreachable")
HTTP_PORT, SSH_PORT, FROM_HTTP, HIGH_PORTS = (
    matching("tcp", "dport", 80),
    matching("tcp", "dport", 22),
    matching("tcp", "sport", 80),
    matching("tcp", "dport", {"range": [8000, 8080]}),
)
FTP_PORT = matching("tcp", "dport", 21)
FROM_FTP_DATA = matching("tcp", "sport", 20)
NEW_ONES = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}
FROM_LO = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}
IPIP, VRRP = matching("ip", "protocol", "ipip"), matching("ip", "protocol", "vrrp")
NOBODY = "02:00:00:00:00:99"
FROM_SERVERS = matching("ip", "saddr", {"prefix": {"addr": "172.16.0.0", "len": 24}})
DRAIN = "#!/bin/sh\n# takes rs1 out, -D\n"
DELETES = "ippfvsadm -D -t 203.0.113.1:80 -R 172.16.0.2:80\n"
TODAYS = "ipvsadm --delete-server -t 203.0.113.1:80 -r 172.16.0.2:80\n"
QUIETS = "ipvsadm -e -t 203.0.113.1:80 -r 172.16.0.2:80 -m -w 0\n"


def rule(hook: str, verdict: str, *matches: Mapping[str, Any], family: str = "ip") -> FilterRule:
    return FilterRule(family, "f", "c", hook, 0, 5, verdict, tuple(map(dict, matches)), "as nft prints it")


NO_VRRP = rule("input", "drop", VRRP)
HEARTBEATS = matching("udp", "dport", 694)
FOR_THE_ROUTER = matching("arp", "daddr ip", "203.0.113.254", "!=")
BROADCASTS = matching("ether", "daddr", "ff:ff:ff:ff:ff:ff")
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


TO_FTP, TO_DATA, NOT_SENT = (
    f"{CLIENT}:61000 > {VIP}:21",
    f"{CLIENT}:40000 > {VIP}:30500",
    f" > {VIP}:21",
)


def ruled(
    state: LabState, name: str, rule: str, seen: str, *, tunnel: str = "", priority: int = 32765
) -> LabState:
    """With a policy rule on that host, where `seen`, SOURCE > DEST, was seen last on its way."""
    source, _, dest = seen.partition(" > ")
    sighting = Sighting(
        name, f"{name}-eth0", IN if source else OUT, "SYN" if source else NOTHING, source, dest
    )
    trial = Trial("c1", VIP, 21, "timed out", source_port=61000, seen=(replace(sighting, tunnel=tunnel),))
    state = replace(state, trials=(*state.trials, trial))
    return on(state, name, rules=(PolicyRule(priority, rule),))


def asks(state: LabState, name: str) -> LabState:
    """The last trial ended with an unanswered ARP request of that host for a gateway that does not exist."""
    *others, last = state.trials
    request = Sighting(name, f"{name}-eth0", OUT, "ARP request", CLIENT, "198.51.100.7")
    return replace(state, trials=(*others, replace(last, seen=(*last.seen, request))))


def other_mac(state: LabState, name: str, knows: str, *, at: int = 0) -> LabState:
    """With another MAC address; `knows` sends to the former one, by its neighbour table or its engine's."""
    plug = host(state, name).main
    changed = failing(link(state, name, mac="02:00:00:00:00:77"))
    if knows != state.director_host.name:
        return static(changed, knows, plug.address, plug.mac, at, state_of="DELAY")
    sent = Sighting(knows, host(state, knows).plugs[at].interface, OUT, "SYN", f"{CLIENT}:61000", f"{VIP}:80")
    trial = Trial("c1", VIP, 80, "timed out", source_port=61000, seen=(sent,))
    return replace(changed, trials=(trial,))


def macvlan(state: LabState, name: str) -> LabState:
    """With another device on top of its interface."""
    return on(state, name, links=(*host(state, name).links, Link("mv0", True, True, 1500, mac=NOBODY)))


def sends_from(state: LabState, name: str, source: str) -> LabState:
    """A client whose kernel chooses that source address, and which fails."""
    hops = (
        replace(hop, preferred=source) if hop.target == state.vip else hop
        for hop in host(state, name).next_hops
    )
    trial = Trial(name, state.vip, 80, "timed out")
    return replace(on(state, name, next_hops=tuple(hops)), trials=(trial,))


def without_persistence(state: LabState) -> LabState:
    services = (replace(service, persistent=0) for service in state.director.services)
    return director(state, services=tuple(services))


def attached(state: LabState, *interfaces: str) -> LabState:
    """The director with programs of the engine ebpf at ingress of these interfaces."""
    hooks = (TrafficFilter(interface, "ingress", "filter protocol all bpf") for interface in interfaces)
    return on(state, state.director_host.name, traffic_filters=tuple(hooks))


def without_upcalls(state: LabState) -> LabState:
    """The director with its program, but the device to which that hands packets is down."""
    upcalls = Link("lvs-upcall", up=False, carrier=True, mtu=1500)
    there = attached(state, "d-eth0", "d-eth1")
    return on(there, "d", links=(*host(there, "d").links, upcalls))


def with_data(state: LabState, name: str) -> LabState:
    """With trials of that real server in which data left it."""
    sent = Sighting(name, f"{name}-eth0", OUT, "data", f"{VIP}:80", f"{CLIENT}:61000")
    trials = (replace(trial, seen=(sent,)) if trial.wanted == name else trial for trial in state.trials)
    return replace(state, trials=tuple(trials))


def ftp_fails(state: LabState) -> LabState:
    return replace(state, trials=(*state.trials, Trial("c1", VIP, 21, "timed out")))


def hops_limited(state: LabState, name: str, target: str) -> LabState:
    """With a TTL of 1 for packets to `target`."""
    hops = host(state, name).next_hops
    return on(state, name, next_hops=tuple(replace(one, hoplimit=one.target == target) for one in hops))


def small_window(state: LabState, name: str, window: int) -> LabState:
    """With a receive window in its routes."""
    hops = tuple(replace(hop, window=window) for hop in host(state, name).next_hops)
    return on(state, name, next_hops=hops)


def not_local(state: LabState, name: str, address: str, *rules: PolicyRule) -> LabState:
    """The kernel does not deliver packets to that address of the host to the host itself."""
    hops = (
        replace(hop, local=hop.local and hop.target != address, interface="" if rules else hop.interface)
        for hop in host(state, name).next_hops
    )
    lacking = (PolicyRule(0, "from all lookup local"),) if rules else ()
    return on(state, name, next_hops=tuple(hops), rules=rules, missing_rules=lacking)


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


def unforwarded(state: LabState, name: str) -> LabState:
    """The kernel has no next hop for packets that it does not forward, or that its rp_filter drops."""
    hops = host(state, name).next_hops
    kept = (
        NextHop(hop.target, source=hop.source, inbound=hop.inbound) if hop.inbound else hop for hop in hops
    )
    return on(state, name, next_hops=tuple(kept))


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
AT_MOST = rule("output", "drop", FROM_HTTP, LIMIT)
AT_A_RATE = rule("prerouting", "dnat 203.0.113.9", LIMIT)
PASSIVE_PORTS = matching("tcp", "dport", {"range": [1024, 65535]})
PSH = {
    "match": {
        "op": "==",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, "psh"]},
        "right": "psh",
    }
}
ONLY_SSH = rule("prerouting", "drop", SSH_PORT)
NO_DATA_CONNECTIONS = rule("forward", "drop", PASSIVE_PORTS)
SYNPROXY = rule("input", "synproxy", HTTP_PORT)
LONG_ONES = {"match": {"op": ">", "left": {"meta": {"key": "length"}}, "right": 600}}
MARKING = replace(rule("output", "", FROM_HTTP, LONG_ONES), changes=("mark",))
BY_MARK = PolicyRule(100, "from all fwmark 0x9 blackhole")
TTL_1 = replace(rule("forward", ""), changes=("ip ttl",))
EXCEPT_SSH = (
    rule("input", "accept", {"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}}),
    rule("input", "accept", SSH_PORT),
    replace(rule("input", "drop"), handle=0),
)
