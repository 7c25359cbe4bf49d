"""Fragments follow the first of their packet, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.decision import Answer, Drop, Forward, Local
from director.core.director import Director
from director.core.packet import ACK, ICMP, SYN, UDP, Endpoint, Packet
from tests.unit.director.core.support import FTP, FTP2, RS1, VIP, WEB, client, published, tcp

DNS = Endpoint(VIP, 53)


def director_for_udp(**options: Any) -> Director:
    director = Director(**options)
    key = ServiceKey(UDP, DNS)
    director.apply([AddService(key), AddServer(key, Endpoint("172.16.0.2", 5353))], 0)
    return director


def first(identification: int = 7, **more: Any) -> Packet:
    return Packet(UDP, client(1), DNS, 1500, more_fragments=True, identification=identification, **more)


def later(identification: int = 7, offset: int = 185, **more: Any) -> Packet:
    ends = Endpoint(client(1).address, 0), Endpoint(VIP, 0)
    return Packet(UDP, *ends, 500, fragment_offset=offset, identification=identification, **more)


def test_a_later_fragment_goes_where_the_first_went() -> None:
    director = director_for_udp()
    whole = director.decide(first(), 0)
    rest = director.decide(later(), 1)
    assert isinstance(whole, Forward)
    assert isinstance(rest, Forward)
    assert (rest.next_hop, rest.connection) == (whole.next_hop, whole.connection)
    assert rest.destination == Endpoint("172.16.0.2", 0)
    assert rest.payload is None


@pytest.mark.parametrize(
    ("packet", "now"),
    [(later(8), 1), (later(0), 1), (later(), 31)],
    ids=["of another packet", "of number 0", "too late"],
)
def test_a_fragment_that_follows_nothing_is_dropped(packet: Packet, now: float) -> None:
    director = director_for_udp()
    director.decide(first(), 0)
    assert isinstance(director.decide(packet, now), Drop)


def test_a_packet_may_have_the_identification_0() -> None:
    director = director_for_udp()
    assert isinstance(director.decide(first(0), 0), Forward)
    assert isinstance(director.decide(later(0), 1), Forward)


def test_a_datagram_may_have_its_second_fragment_at_offset_8() -> None:
    director = director_for_udp()
    assert isinstance(director.decide(first(), 0), Forward)
    assert isinstance(director.decide(later(offset=1), 0), Forward)


def test_no_fragment_lies_inside_the_header_of_tcp() -> None:  # differs: fragments-never-whole
    """RFC 1858, 4: it could change what the first one has said."""
    director = published()
    assert isinstance(director.decide(tcp(client(1), WEB, more_fragments=True), 0), Forward)
    inside = tcp(client(0), Endpoint(VIP, 0), fragment_offset=1)
    assert isinstance(director.decide(inside, 0), Drop)


def test_a_refused_first_fragment_is_not_followed() -> None:
    director = director_for_udp()
    assert isinstance(director.decide(first(ttl=1), 0), Answer)
    assert isinstance(director.decide(later(), 0), Drop)


def test_a_later_fragment_has_to_live_too() -> None:
    director = director_for_udp()
    director.decide(first(), 0)
    assert isinstance(director.decide(later(ttl=1), 0), Answer)


def test_the_memory_is_bounded() -> None:
    director = director_for_udp()
    for identification in range(1, 1030):
        director.decide(first(identification), 0)
    assert isinstance(director.decide(later(1), 0), Drop)
    assert isinstance(director.decide(later(1029), 0), Forward)


def test_a_later_fragment_may_come_first() -> None:
    director = director_for_udp()
    early = director.decide(later(), 0)
    assert isinstance(early, Drop)
    assert early.early
    assert isinstance(director.decide(first(), 0), Forward)
    assert isinstance(director.decide(later(), 0), Forward)


def test_a_later_fragment_of_a_refused_packet_does_not_wait() -> None:
    director = director_for_udp()
    director.decide(first(ttl=1), 0)
    refused = director.decide(later(), 0)
    assert isinstance(refused, Drop)
    assert not refused.early


def test_an_ftp_control_connection_is_not_taken_in_fragments() -> None:
    director = published()
    director.decide(tcp(client(1), FTP), 0)
    director.decide(tcp(FTP2, client(1), SYN | ACK), 0)
    packet = tcp(client(1), FTP, ACK, more_fragments=True, identification=5)
    assert isinstance(director.decide(packet, 0), Drop)


def test_a_fragment_of_an_icmp_error_is_the_kernels() -> None:
    director = published()
    director.decide(tcp(client(1), FTP), 0)
    about = tcp(client(1), FTP2, ACK)
    ends = Endpoint(RS1.address, 0), client(0)
    error = Packet(ICMP, *ends, 1500, icmp_type=3, embedded=about, more_fragments=True)
    assert isinstance(director.decide(error, 0), Local)
