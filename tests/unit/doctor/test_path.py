"""Each hop of each method broken in turn: the path's first difference is at the host that was broken.

None of these is looked for by name; what the causes know is tested in test_causes.py and test_causes_ipv6.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from doctor.path import differences
from doctor.queries import link_locals
from doctor.sightings import last_seen
from doctor.state import (
    IN,
    OTHERS,
    OUT,
    REFUSED,
    SERVED,
    TIMED_OUT,
    FilterRule,
    LabState,
    Neighbour,
    Process,
    Service,
    Sighting,
    Target,
    Trial,
)
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

VIP = "203.0.113.1"


def failing(state: LabState) -> LabState:
    """No client is served: every path is suspect."""
    trials = (
        replace(trial, outcome=TIMED_OUT, server="") if not trial.wanted else trial for trial in state.trials
    )
    return replace(state, trials=tuple(trials))


@pytest.mark.parametrize("method", METHODS)
def test_a_healthy_lab_does_not_differ_from_its_plan(method: str) -> None:
    assert differences(healthy(method)) == []
    assert differences(failing(healthy(method))) == []


def test_a_submission_without_trials_has_no_paths() -> None:
    form = healthy("dr").as_dict()
    del form["trials"], form["director_process"]
    for form_of_host in form["hosts"]:
        for name in ("links", "processes", "planned"):
            del form_of_host[name]
    assert differences(LabState.from_dict(form)) == []


# ---- breaking a hop ----


def link(state: LabState, name: str, interface: str, **changes: Any) -> LabState:
    links = (
        replace(own, **changes) if own.interface == interface else own for own in host(state, name).links
    )
    return on(state, name, links=tuple(links))


def unplugged(state: LabState, name: str, interface: str) -> LabState:
    """Down, with what the kernel removes then."""
    state = link(state, name, interface, up=False)
    before = host(state, name)
    addresses = (
        replace(address, up=address.up and address.interface != interface) for address in before.addresses
    )
    routes = (route for route in before.routes if route.interface != interface)
    hops = (
        replace(hop, interface="", gateway="") if hop.interface == interface else hop
        for hop in before.next_hops
    )
    return on(state, name, addresses=tuple(addresses), routes=tuple(routes), next_hops=tuple(hops))


def routed(state: LabState, name: str, target: str, **changes: Any) -> LabState:
    """Other next hops for every kind of packet to `target`."""
    hops = (
        replace(hop, **changes) if hop.target == target and not hop.local else hop
        for hop in host(state, name).next_hops
    )
    return on(state, name, next_hops=tuple(hops))


def cut(state: LabState, name: str, target: str) -> LabState:
    return routed(state, name, target, gateway="", interface="")


def moved(state: LabState, name: str, address: str, **changes: Any) -> LabState:
    """An address of a host, changed."""
    addresses = host(state, name).addresses
    kept = (replace(held, **changes) if held.address == address else held for held in addresses)
    return on(state, name, addresses=tuple(kept))


def filtered(state: LabState, name: str, hook: str, field: str, value: Any) -> LabState:
    protocol, _, what = field.partition(" ")
    match = {"op": "==", "left": {"payload": {"protocol": protocol, "field": what}}, "right": value}
    rule = FilterRule("ip", "f", "c", hook, 0, 5, "drop", ({"match": match},), f"{field} {value} drop")
    return on(state, name, filters=(*host(state, name).filters, rule))


def dead(state: LabState, name: str, port: int) -> LabState:
    return on(
        state,
        name,
        listeners=tuple(listener for listener in host(state, name).listeners if listener.port != port),
    )


def frozen(state: LabState, name: str, port: int) -> LabState:
    listeners = (
        replace(listener, process_state="T") if listener.port == port else listener
        for listener in host(state, name).listeners
    )
    return on(state, name, listeners=tuple(listeners))


def entry(state: LabState, name: str, address: str, interface: str, mac: str, kind: str) -> LabState:
    return on(state, name, neighbours=(Neighbour(address, interface, mac, kind),))


def targets(state: LabState, **changes: Any) -> LabState:
    """Every real server's rule for http changed."""
    return http(state, targets=tuple(replace(target, **changes) for target in http_service(state).targets))


def with_target(state: LabState, target: Target) -> LabState:
    return http(state, targets=(*http_service(state).targets, target))


def full(state: LabState) -> LabState:
    return targets(state, upper=2, active=1, inactive=1)


def director_gone(state: LabState, process: Process | None) -> LabState:
    state = director(state, error="no answer", services=())
    return replace(state, director_process=process)


def proxy(state: LabState) -> LabState:
    """rs2 has the address of rs1 as well."""
    mine = next(address for address in host(state, "rs1").addresses if address.interface == "rs1-eth0")
    return on(state, "rs2", addresses=(*host(state, "rs2").addresses, replace(mine, interface="rs2-eth0")))


C1 = "198.51.100.101"
Break = Callable[[LabState], LabState]
BROKEN: list[tuple[str, Break, str, str, str]] = [  # methods, what breaks, host, what, part of what is seen
    ("nat tun dr", lambda s: unplugged(s, "c1", "c1-eth0"), "c1", "link", "it is down"),
    ("nat tun dr", lambda s: link(s, "r0", "r0-eth1", carrier=False), "r0", "link", "no carrier"),
    ("nat tun dr", lambda s: unplugged(s, "d", "d-eth0"), "d", "link", "it is down"),
    ("nat tun dr", lambda s: unplugged(s, "rs1", "rs1-eth0"), "rs1", "link", "it is down"),
    ("tun", lambda s: link(s, "rs1", "tunl0", up=False), "rs1", "link", "it is down"),
    ("tun", lambda s: unplugged(s, "r1", "r1-eth1"), "r1", "link", "it is down"),
    ("nat tun dr", lambda s: cut(s, "c1", VIP), "c1", "route", "unreachable"),
    ("nat tun dr", lambda s: cut(s, "r0", VIP), "r0", "route", "unreachable"),
    ("nat", lambda s: cut(s, "d", "172.16.0.2"), "d", "route", "unreachable"),
    ("nat", lambda s: cut(s, "d", C1), "d", "route", "replies to 198.51.100.101"),
    ("nat dr", lambda s: cut(s, "r0", C1), "r0", "route", "unreachable"),
    ("tun", lambda s: cut(s, "r0", "192.0.2.2"), "r0", "route", "unreachable"),
    ("tun", lambda s: cut(s, "r1", C1), "r1", "route", "unreachable"),
    ("nat tun dr", lambda s: cut(s, "rs1", C1), "rs1", "route", "unreachable"),
    ("dr", lambda s: routed(s, "rs1", C1, gateway="203.0.113.2"), "rs1", "route", "an address of d"),
    ("nat", lambda s: routed(s, "rs1", C1, gateway="172.16.0.77"), "rs1", "route", "no host there has"),
    (
        "nat tun dr",
        lambda s: cut(moved(s, "r0", "203.0.113.254", prefix=30), "r0", VIP),
        "r0",
        "netmask",
        "203.0.113.254/30",
    ),
    ("nat tun dr", lambda s: without(s, "d", VIP), "d", "address", "does not have it"),
    ("tun dr", lambda s: without(s, "rs1", VIP), "rs1", "address", "does not have it"),
    ("nat tun dr", lambda s: without(s, "r0", "198.51.100.254"), "r0", "address", "no address"),
    ("nat dr", proxy, "rs2", "address", "and answers, too"),
    ("nat tun dr", lambda s: setting(s, "d", LAN__arp_ignore=8), "d", "ARP", "arp_ignore is 0 for all, 8"),
    ("nat dr", lambda s: setting(s, "rs1", all__arp_ignore=8), "rs1", "ARP", "8 for all"),
    (
        "nat tun dr",
        lambda s: entry(s, "r0", VIP, "r0-eth1", "02:00:00:00:00:99", "PERMANENT"),
        "r0",
        "neighbour",
        "of no host there",
    ),
    (
        "nat tun dr",
        lambda s: entry(s, "c1", "198.51.100.254", "c1-eth0", "02:00:c6:33:64:66", "STALE"),
        "c2",
        "ARP",
        "c1 has learnt it from c2",
    ),
    (
        "nat tun dr",
        lambda s: entry(s, "c1", "198.51.100.254", "c1-eth0", "02:00:c6:33:64:66", "PERMANENT"),
        "c1",
        "neighbour",
        "of c2",
    ),
    ("nat tun dr", lambda s: filtered(s, "c1", "output", "ip daddr", VIP), "c1", "filter", "drop"),
    ("nat tun dr", lambda s: filtered(s, "c1", "input", "tcp sport", 80), "c1", "filter", "drop"),
    ("nat tun dr", lambda s: filtered(s, "r0", "forward", "tcp dport", 80), "r0", "filter", "tcp dport 80"),
    ("nat dr", lambda s: filtered(s, "r0", "postrouting", "tcp sport", 80), "r0", "filter", "tcp sport 80"),
    ("nat tun dr", lambda s: filtered(s, "rs1", "input", "tcp dport", 80), "rs1", "filter", "tcp dport 80"),
    ("nat tun dr", lambda s: filtered(s, "rs1", "output", "tcp sport", 80), "rs1", "filter", "tcp sport 80"),
    ("tun", lambda s: filtered(s, "r1", "forward", "ip protocol", "ipencap"), "r1", "filter", "ipencap"),
    ("tun", lambda s: filtered(s, "rs1", "input", "ip saddr", "203.0.113.2"), "rs1", "filter", "203.0.113.2"),
    ("nat tun dr", lambda s: dead(s, "rs1", 80), "rs1", "socket", "with a listener: 21"),
    ("nat tun dr", lambda s: frozen(s, "rs1", 80), "rs1", "process", "is stopped (state T)"),
    ("nat tun dr", lambda s: director_gone(s, None), "d", "process", "no director is running"),
    ("nat tun dr", lambda s: director_gone(s, Process(9, "", "T")), "d", "process", "9 is stopped"),
    ("nat tun dr", lambda s: director_gone(s, Process(9, "", "S")), "d", "process", "9 does not answer"),
    ("nat tun dr", lambda s: director(s, services=()), "d", "rule", "no service for that port"),
    ("nat tun dr", lambda s: http(s, targets=()), "d", "rule", "has no real server"),
    ("nat tun dr", lambda s: targets(s, weight=0), "d", "weight", "all have weight 0"),
    ("nat tun dr", full, "d", "threshold", "2 of 2"),
    ("nat tun dr", lambda s: director(s, limit=8, entries=8), "d", "table", "8 entries"),
    ("nat", lambda s: with_target(s, Target("172.16.0.9", 80, 1)), "d", "rule", "which no host has"),
    ("nat", lambda s: with_target(s, Target("172.16.0.2", 8080, 1)), "d", "rule", "172.16.0.2:8080"),
    ("nat tun dr", lambda s: targets(s, method="Local"), "", "", ""),
    ("dr", lambda s: targets(s, method="Masq"), "d", "rule", "has Masq"),
]
CASES = [
    pytest.param(method, breaks, name, what, text, id=f"{method}-{number}-{name}-{what}")
    for number, (methods, breaks, name, what, text) in enumerate(BROKEN)
    for method in methods.split()
]


@pytest.mark.parametrize(("method", "breaks", "name", "what", "text"), CASES)
def test_the_first_difference_is_where_it_was_broken(
    method: str, breaks: Break, name: str, what: str, text: str
) -> None:
    found = differences(breaks(failing(healthy(method))))
    if not name:
        assert found == []
        return
    assert {(difference.host, difference.what) for difference in found} == {(name, what)}
    assert text in f"{found[0].expected} {found[0].observed}"
    assert found[0].look
    assert found[0].paths


def vip_on_lo(state: LabState) -> LabState:
    held = host(state, "d").addresses
    moved = (replace(one, interface="lo") if one.address == state.vip else one for one in held)
    return on(state, "d", addresses=tuple(moved))


def learnt_from_server(state: LabState) -> LabState:
    return entry(state, "r0", state.vip, "r0-eth1", host(state, "rs1").mac("rs1-eth0"), "STALE")


@pytest.mark.parametrize(
    ("breaks", "name", "expected"),
    [
        (vip_on_lo, "d", "d answers neighbour solicitations for 2001:db8:cb00:71::1 on d-eth0"),
        (learnt_from_server, "rs1", "only d claims 2001:db8:cb00:71::1 in neighbour advertisements"),
    ],
)
def test_in_ipv6_neighbour_discovery_differs_and_not_arp(
    breaks: Callable[[LabState], LabState], name: str, expected: str
) -> None:
    (found,) = differences(breaks(failing(healthy("dr6"))))
    assert (found.host, found.what, found.expected) == (name, "neighbour discovery", expected)
    assert found.look == "ip address show to 2001:db8:cb00:71::1"


def test_a_router_s_link_local_address_is_a_right_next_hop() -> None:
    """As real servers have it that learn their default route from router advertisements."""
    state = failing(healthy("dr6"))
    router = host(state, "r0")
    learnt = next(link_locals(router, router.plugs[-1]))
    for name in ("rs1", "rs2", "rs3"):
        hops = (replace(hop, gateway=learnt if hop.gateway else "") for hop in host(state, name).next_hops)
        state = on(state, name, next_hops=tuple(hops))
    assert any(hop.gateway == learnt for hop in host(state, "rs1").next_hops)
    assert differences(state) == []


def test_a_router_that_does_not_forward() -> None:
    state = on(failing(healthy("dr")), "r0", settings={"conf.r0-eth0.forwarding": 0})
    hops = (
        replace(hop, interface="", gateway="") if hop.inbound else hop for hop in host(state, "r0").next_hops
    )
    (found,) = differences(on(state, "r0", next_hops=tuple(hops)))
    assert (found.host, found.what) == ("r0", "setting")
    assert found.observed == "forwarding is 0 for r0-eth0"


@pytest.mark.parametrize(("name", "interface"), [("r1", "r1-eth1"), ("rs1", "tunl0")])
def test_the_reverse_path_filter_is_found_where_the_kernel_drops(name: str, interface: str) -> None:
    state = on(failing(healthy("tun")), name, settings={f"conf.{interface}.rp_filter": 1})
    hops = (
        replace(hop, interface="", gateway="", local=False) if hop.inbound == interface else hop
        for hop in host(state, name).next_hops
    )
    found = differences(on(state, name, next_hops=tuple(hops)))
    assert {(difference.host, difference.what) for difference in found} == {(name, "setting")}
    assert f"rp_filter is 0 for all, 1 for {interface}" in found[0].observed


# ---- what trials prove ----


def test_a_path_that_works_is_not_accused() -> None:
    """rs1 served c1 and rs3 served c2: that a filter would drop their packets is wrong, or has no effect."""
    state = healthy("dr")
    every = tuple(
        Trial(client, VIP, 80, SERVED, server=server)
        for client in ("c1", "c2")
        for server in ("rs1", "rs2", "rs3")
    )
    broken = filtered(replace(state, trials=every), "rs1", "input", "tcp dport", 80)
    assert differences(broken) == []


def test_a_server_that_no_client_got_is_examined() -> None:
    state = healthy("dr")
    lucky = tuple(Trial(client, VIP, 80, SERVED, server="rs2") for client in ("c1", "c2"))
    (found,) = differences(dead(replace(state, trials=lucky), "rs1", 80))
    assert (found.host, found.what, found.paths) == ("rs1", "socket", ("c1 to rs1", "c2 to rs1"))


def test_what_neighbour_entries_hide_is_found_while_clients_are_served() -> None:
    (found,) = differences(setting(healthy("dr"), "d", LAN__arp_ignore=8))
    assert (found.host, found.what) == ("d", "ARP")


def test_a_permanent_entry_that_is_right_needs_no_answer() -> None:
    state = setting(failing(healthy("dr")), "d", LAN__arp_ignore=8)
    mac = host(state, "d").mac("d-eth0")
    kept = entry(state, "r0", VIP, "r0-eth1", mac, "PERMANENT")
    at_d = [difference for difference in differences(kept) if "for 203.0.113.1 on" in difference.expected]
    assert at_d == []


def test_clients_that_differ_in_their_address_only_are_one_difference() -> None:
    state = failing(healthy("nat"))
    for client in ("198.51.100.101", "198.51.100.102"):
        state = cut(state, "d", client)
    (found,) = differences(state)
    assert set(found.paths) == {f"{client} to rs{n}" for client in ("c1", "c2") for n in (1, 2, 3)}


def test_a_service_for_all_ports_keeps_the_port() -> None:
    every = Service("TCP", VIP, 0, 0, "rr", 300, (Target("203.0.113.11", 0, 1, "Route"),))
    state = director(failing(healthy("dr")), services=(every,))
    assert differences(state) == []
    (found,) = differences(dead(state, "rs1", 21))
    assert (found.what, found.expected) == ("socket", f"a program listens on TCP {VIP}:21")


def test_the_director_as_a_real_server() -> None:
    local = Service("TCP", VIP, 80, 0, "rr", 0, (Target("127.0.0.1", 80, 1, "Masq"),))
    state = director(failing(healthy("nat")), services=(local,))
    found = [difference for difference in differences(state) if difference.paths[0].endswith("127.0.0.1")]
    assert [(difference.host, difference.what) for difference in found] == [("d", "socket")]


# ---- how far packets came ----

_ENDS = ("198.51.100.101:61001", "203.0.113.1:80")
_BACK = _ENDS[::-1]


def seen(name: str, direction: str, what: str, ends: tuple[str, str] = _ENDS) -> Sighting:
    return Sighting(name, f"{name}-eth0", direction, what, *ends)


@pytest.mark.parametrize(
    ("outcome", "sightings", "place"),
    [
        (TIMED_OUT, [], None),
        (TIMED_OUT, [seen("c1", OUT, "SYN")], ("c1", OUT)),
        (TIMED_OUT, [seen("c1", OUT, "SYN"), seen("r0", IN, "SYN"), seen("rs2", OTHERS, "SYN")], ("r0", IN)),
        (
            TIMED_OUT,
            [seen("c1", OUT, "SYN"), seen("rs1", OUT, "SYN+ACK", _BACK), seen("d", IN, "SYN+ACK", _BACK)],
            ("d", IN),
        ),
        (TIMED_OUT, [seen("c1", OUT, "SYN"), seen("rs1", IN, "data"), seen("c1", OUT, "RST")], ("rs1", IN)),
        (
            REFUSED,
            [seen("c1", OUT, "SYN"), seen("rs1", OUT, "RST", _BACK), seen("r0", IN, "RST", _BACK)],
            ("rs1", OUT),
        ),
        (REFUSED, [seen("c1", OUT, "SYN"), seen("d", OUT, "ICMP unreachable", _BACK)], ("d", OUT)),
    ],
)
def test_the_last_place(outcome: str, sightings: list[Sighting], place: tuple[str, str] | None) -> None:
    found = last_seen(Trial("c1", VIP, 80, outcome, seen=tuple(sightings)))
    assert (found and (found.host, found.way)) == place
