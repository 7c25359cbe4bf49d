"""The causes of labs in IPv6: the same as in IPv4, and those that exist in IPv6 only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from doctor.causes import diagnose, packet_too_big_filtered
from doctor.state import FAILED, Address, Down, LabState, Neighbour, Route, Target, Trial
from labs.network.addresses import link_local
from tests.unit.doctor.broken import (
    HTTP_PORT,
    answers,
    both_own_the_vip,
    link,
    next_hop,
    paired,
    rule,
    set_on,
)
from tests.unit.doctor.recorded import healthy, host, http, on, setting, without

VIP6, CLIENT6, RS1 = "2001:db8:cb00:71::1", "2001:db8:c633:64::101", "2001:db8:cb00:71::11"


DEAD_END = Route("2001:db8:c633:64::/64", "fe80::dead", "rs1-eth0")


def with_route(state: LabState, name: str, route: Route) -> LabState:
    """With a route that the kernel does not use, because its gateway does not answer."""
    return on(state, name, routes=(*host(state, name).routes, route))


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

ND_DROPPED = rule("input", "drop", _icmpv6("==", {"set": [135, "nd-neighbor-advert"]}), family="ip6")


def failing6(state: LabState) -> LabState:
    return replace(state, trials=(Trial("c1", VIP6, 80, "timed out"),))


IN_IPV6: list[tuple[str, str, Callable[[LabState], LabState]]] = [
    ("dad_failed", "rs1", lambda s: holds(s, "rs1", "rs1-eth0", "dadfailed")),
    ("dad_failed", "rs1", lambda s: holds(s, "rs1", "rs1-eth0", "tentative")),
    ("arp_answered", "rs1", lambda s: holds(s, "rs1", "rs1-eth0")),
    ("vip_missing", "rs1", lambda s: without_vip6(s, "rs1")),
    ("no_gateway", "rs1", lambda s: next_hop(s, "rs1", CLIENT6)),
    ("no_gateway", "rs1", lambda s: with_route(s, "rs1", DEAD_END)),
    ("no_route", "c1", lambda s: with_route(s, "c1", Route(f"{VIP6}/128", "fe80::dead", "c1-eth0"))),
    ("no_route", "r0", lambda s: with_route(s, "r0", Route(f"{CLIENT6}/128", "fe80::dead", "r0-eth0"))),
    ("no_route", "d", lambda s: with_route(s, "d", Route(f"{RS1}/128", "fe80::dead", "d-eth0"))),
    ("short_ttl", "rs1", lambda s: set_on(s, "rs1", "conf.rs1-eth0.hop_limit", 1)),
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
    ("arp_filtered", "rs1", lambda s: failing6(on(s, "rs1", filters=(ND_DROPPED,)))),
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


@pytest.mark.parametrize("name", ["rs1", "d"])
def test_a_dead_end_is_deleted(name: str) -> None:
    dead_end = replace(DEAD_END, destination=f"{RS1}/128", interface="d-eth0") if name == "d" else DEAD_END
    (found,) = diagnose(with_route(healthy("dr6"), name, dead_end))
    assert found.repair == f"ip route del {dead_end}"


def test_ipv6_is_enabled_before_addresses_are_added() -> None:
    """Where it was disabled, which removes them."""
    (found, *_) = diagnose(set_on(on(healthy("dr6"), "rs1", addresses=()), "rs1", "conf.all.disable_ipv6"))
    assert found.repair.splitlines()[0] == "sysctl -w net.ipv6.conf.all.disable_ipv6=0"


def test_a_filter_of_neighbour_discovery_that_nobody_meets_is_not_a_cause() -> None:
    assert diagnose(on(healthy("dr6"), "rs1", filters=(ND_DROPPED,))) == []
