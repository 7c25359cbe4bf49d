"""Firewall marks: which packets carry one, and what a service by mark does with them."""

from __future__ import annotations

import pytest

from director.core.commands import AddMark, AddServer, AddService, ClearMarks, DeleteMark, ServiceKey
from director.core.decision import Forward, Pass
from director.core.director import Director
from director.core.errors import BadValue, NoSuchMark
from director.core.packet import TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from tests.unit.director.core.support import CIP, VIP, client, tcp

FIRST, SECOND = Endpoint("172.16.0.2", 0), Endpoint("172.16.0.3", 0)
KEY = ServiceKey(mark=7)


def marked(*marks: AddMark, method: Method = Method.NAT, persistent: int = 0) -> Director:
    director = Director(method=method, scheduler="rr")
    service = AddService(KEY, persistent=persistent)
    director.apply([*marks, service, AddServer(KEY, SECOND), AddServer(KEY, FIRST)], 0)
    return director


def goes_to(director: Director, packet: Packet) -> Endpoint | None:
    decision = director.decide(packet, 0)
    return decision.destination if isinstance(decision, Forward) else None


def to(port: int, address: str = VIP, number: int = 1) -> Packet:
    return tcp(client(number), Endpoint(address, port))


@pytest.mark.parametrize(
    ("mark", "packet", "carries"),
    [
        (AddMark(7, VIP), to(80), True),
        (AddMark(7, VIP), to(80, "203.0.113.9"), False),
        (AddMark(7, "203.0.113.0/24"), to(80, "203.0.113.9"), True),
        (AddMark(7, VIP, TCP, 80, 81), to(79), False),
        (AddMark(7, VIP, TCP, 80, 81), to(80), True),
        (AddMark(7, VIP, TCP, 80, 81), to(81), True),
        (AddMark(7, VIP, TCP, 80, 81), to(82), False),
        (AddMark(7, VIP, UDP), to(80), False),
        (AddMark(7, VIP, UDP), Packet(UDP, client(1), Endpoint(VIP, 80), 30), True),
        (AddMark(8, VIP), to(80), False),
    ],
)
def test_which_packets_carry_the_mark(mark: AddMark, packet: Packet, carries: bool) -> None:
    assert isinstance(marked(mark).decide(packet, 0), Forward if carries else Pass)


def test_the_first_matching_rule_counts() -> None:
    assert goes_to(marked(AddMark(8, VIP, TCP, 80, 80), AddMark(7, VIP)), to(80)) is None
    assert goes_to(marked(AddMark(7, VIP), AddMark(8, VIP, TCP, 80, 80)), to(80)) == Endpoint(
        "172.16.0.2", 80
    )


def test_a_server_without_a_port_keeps_the_packets() -> None:
    director = marked(AddMark(7, VIP))
    assert goes_to(director, to(443)) == Endpoint("172.16.0.2", 443)
    assert goes_to(director, to(80, number=2)) == Endpoint("172.16.0.3", 80)


def test_a_server_with_a_port_of_its_own_gets_that() -> None:
    director = Director()
    director.apply([AddMark(7, VIP), AddService(KEY), AddServer(KEY, Endpoint("172.16.0.2", 8000))], 0)
    assert goes_to(director, to(443)) == Endpoint("172.16.0.2", 8000)


def test_the_mark_takes_precedence_over_the_port() -> None:
    director = marked(AddMark(7, VIP))
    other = ServiceKey(TCP, Endpoint(VIP, 80))
    director.apply([AddService(other), AddServer(other, Endpoint("172.16.0.9", 80))], 0)
    assert goes_to(director, to(80)) == Endpoint("172.16.0.2", 80)


def test_two_ports_of_a_persistent_mark_have_one_server() -> None:
    director = marked(AddMark(7, VIP), method=Method.DR, persistent=60)
    hops = set()
    for number, port in enumerate((80, 443, 80, 8080), 1):
        decision = director.decide(to(port, number=number), 0)
        assert isinstance(decision, Forward)
        hops.add(decision.next_hop)
    assert len(hops) == 1
    (template,) = [row for row in director.listing(0) if row["client"] == f"{CIP}:0"]
    assert (template["protocol"], template["vip"]) == ("IP", "0.0.0.7:0")


def test_marked_networks_are_kept_from_the_kernel() -> None:
    director = marked(AddMark(7, "203.0.113.0/24"), AddMark(9, "198.51.100.9"))
    assert director.rules.vips() == {"203.0.113.0/24", "198.51.100.9"}
    assert director.rules.is_vip("203.0.113.200")
    assert not director.rules.is_vip("203.0.114.1")


def test_rules_are_deleted_one_by_one() -> None:
    director = marked(AddMark(7, VIP), AddMark(7, VIP, TCP, 80, 80))
    director.apply([DeleteMark(7, VIP)], 0)
    assert [mark.as_dict()["last"] for mark in director.rules.marks] == [80]
    with pytest.raises(NoSuchMark):
        director.apply([ClearMarks(), DeleteMark(7, VIP)], 0)
    assert len(director.rules.marks) == 1
    director.apply([ClearMarks()], 0)
    assert goes_to(director, to(80)) is None


@pytest.mark.parametrize(
    "mark",
    [
        AddMark(0, VIP),
        AddMark(2**32, VIP),
        AddMark(7, "203.0.113.300"),
        AddMark(7, "203.0.113.1/24"),
        AddMark(7, VIP, 1),
        AddMark(7, VIP, TCP, 81, 80),
        AddMark(7, VIP, TCP, 0, 65536),
    ],
)
def test_impossible_values_are_refused(mark: AddMark) -> None:
    with pytest.raises(BadValue):
        Director().apply([mark], 0)


@pytest.mark.parametrize(
    ("network", "example"), [("203.0.113.1/24", "203.0.113.0/24"), ("2001:db8::1/64", "2001:db8::/64")]
)
def test_a_network_with_the_bits_of_a_host_is_refused(network: str, example: str) -> None:
    with pytest.raises(BadValue, match=f"network such as {example} with no host bits set"):
        Director().apply([AddMark(1, network)], 0)


def test_a_service_needs_a_valid_mark() -> None:
    with pytest.raises(BadValue, match="mark"):
        Director().apply([AddService(ServiceKey(mark=-1))], 0)
