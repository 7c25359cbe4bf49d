"""No value from the wire is mistaken for one of the core's own: every port, flag and order of fragments.

LVS_FUZZ=1000000 in the environment tries that many random packets, in all methods together.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.decision import Decision, Drop, Forward
from director.core.director import Director
from director.core.family import IPV4, IPV6, TUNNELS
from director.core.fragments import Reassembly
from director.core.packet import (
    ACK,
    ANY_PORT,
    DESTINATION_OPTIONS,
    FIN,
    ICMP,
    ICMPV6,
    SYN,
    TCP,
    UDP,
    Endpoint,
    Packet,
)
from director.core.real_server import Method
from tests.conftest import LONG
from tests.unit.director.core.support import FTP, FTP2, RS1, VIP, WEB, client, direct, entry, published, tcp
from tests.unit.director.core.test_fuzz import check_counts

DNS = Endpoint(VIP, 53)
STEADY = client(40000, "198.51.100.77")  # of a connection that has to outlive everything
ANY_CLIENT = client(ANY_PORT)
CHANCES = int(os.environ.get("LVS_FUZZ", "9000")) // 3


def director_with(method: Method, persistent: int = 0) -> Director:
    """http, ftp and, over UDP, port 53, with one server that has the service's port."""
    director = Director(method=method)
    for protocol, at in ((TCP, WEB), (TCP, FTP), (UDP, DNS)):
        key = ServiceKey(protocol, at)
        director.apply(
            [AddService(key, persistent=persistent), AddServer(key, RS1._replace(port=at.port))], 0
        )
    return director


@pytest.mark.parametrize("director", [published(), direct()], ids=["nat", "dr"])
def test_a_client_may_use_port_0(director: Director) -> None:
    for flags in (SYN, FIN, SYN, ACK):
        assert isinstance(director.decide(tcp(client(0), WEB, flags), 0), Forward)
    check_counts(director, 9)
    assert director.connections.expectations == 0
    director.tick(1000)
    assert len(director.connections) == 0


def test_port_0_is_not_the_client_that_ftp_expects() -> None:
    director = published()
    director.decide(tcp(client(1025), FTP), 0)
    director.decide(tcp(FTP2, client(1025), SYN | ACK), 0)
    director.decide(tcp(client(1025), FTP, ACK), 0)
    passive = b"227 Entering Passive Mode (172,16,0,3,117,48).\r\n"
    director.decide(tcp(FTP2, client(1025), ACK, payload=passive, sequence=1), 0)
    assert director.connections.expectations == 1
    data = Endpoint(VIP, 117 * 256 + 48)
    decision = director.decide(tcp(client(0), data), 0)
    assert isinstance(decision, Forward)
    assert entry(director, client(0), data).client == client(0)
    assert director.connections.expectations == 0
    assert director.connections.find_in(TCP, ANY_CLIENT, data) is None


def test_an_expected_client_is_listed_with_port_0() -> None:
    assert str(ANY_CLIENT) == "198.51.100.101:0"


@pytest.mark.parametrize("method", [Method.NAT, Method.DR])
def test_all_ports_with_all_flags(method: Method) -> None:
    director = director_with(method)
    for port in (0, 1, 20, 21, 65535):
        for flags in range(256):
            for before in (0, SYN, FIN):
                director.decide(tcp(client(port), WEB, before), 0)
                director.decide(tcp(client(port), WEB, flags), 0)
                director.decide(tcp(RS1, client(port), flags), 0)
    check_counts(director, 99)


def test_every_port() -> None:
    """As a client's, a service's and a real server's, in TCP and UDP; a long run covers all of them."""
    director = director_with(Method.NAT)
    for port in range(0, 65536, 1 if LONG else 11):
        for protocol, at in ((TCP, WEB), (UDP, DNS)):
            director.decide(Packet(protocol, client(port), at, 40, flags=SYN), port / 100)
            director.decide(Packet(protocol, client(9), at._replace(port=port), 40, flags=SYN), port / 100)
            director.decide(Packet(protocol, RS1._replace(port=port), client(9), 40, flags=ACK), port / 100)
    check_counts(director, 1 << 20)
    director.tick(5000)
    assert len(director.connections) == 0


# ---- packets of chance ----

_ADDRESSES = (client(0).address, "198.51.100.9", VIP, RS1.address, "0.0.0.0", "255.255.255.255")
_ADDRESSES_OF_IPV6 = ("2001:db8:1::65", "2001:db8::80", "fd00::2", "::", "ff02::1")
_IPV6_WEB = ServiceKey(TCP, Endpoint("2001:db8::80", 80))
_PORTS = (0, 9, 20, 21, 53, 80, 65535)
_ICMP_TYPES = (0, 1, 2, 3, 4, 8, 11, 12, 128)
_TEXTS = (
    b"",
    b"PORT 198,51,100,101,4,1\r\n",
    b"227 (172,16,0,2,9,9)\r\n",
    b"227 (172,16,0,2,0,0)\r\n",
    b"\xff" * 9,
)
_OPTIONS = (b"\x94\4\0\0", b"\x07\x07\4" + bytes(5), b"\x83\x07\4" + bytes(5), b"\x44\4\5\xf0", b"\x94\1\0\0")


def by_chance(chance: random.Random, depth: int = 2) -> Packet:
    """Any packet, which may quote any other."""
    pick, number = chance.choice, chance.randrange

    of_ipv6 = not number(3)

    def end() -> Endpoint:
        addresses = _ADDRESSES_OF_IPV6 if of_ipv6 else _ADDRESSES
        return Endpoint(pick(addresses), pick(_PORTS) if number(2) else number(65536))

    common: dict[str, Any] = {"ttl": pick((0, 1, 2, 64, 255)), "dont_fragment": not number(2)}
    if not number(4):
        fragment = {"fragment_offset": number(3) * pick((1, 185)), "more_fragments": not number(2)}
        common |= {**fragment, "identification": number(3)}
    if not number(8):
        options = pick(_OPTIONS)
        common["options"] = options if number(2) else options[:1] + chance.randbytes(3)
    protocol = pick((TCP, TCP, UDP, ICMP, IPV4.encapsulated, 255))
    if of_ipv6:
        common["extensions"] = number(3) * 8
        others = (ICMPV6, IPV6.encapsulated, DESTINATION_OPTIONS)
        protocol = protocol if protocol in (TCP, UDP) else pick(others)
    if protocol == TCP:
        sequence = {"sequence": number(1 << 32), "acknowledgement": number(1 << 32)}
        common |= {**sequence, "flags": number(256), "payload": pick(_TEXTS)}
    elif protocol in (ICMP, ICMPV6):
        common |= {
            "icmp_type": pick((0, 1, 2, 3, 4, 8, 11, 12, 128)),
            "icmp_code": number(6),
            "mtu": number(65536),
        }
    if depth and protocol in (ICMP, ICMPV6, *TUNNELS):
        common["embedded"] = by_chance(chance, depth - 1)
    return Packet(protocol, end(), end(), number(65536), **common)


@pytest.mark.parametrize("method", [Method.NAT, Method.TUN, Method.DR])
def test_random_packets(method: Method, seed: int) -> None:
    """All get a decision, fragments time out, and a good client's connection survives."""
    chance, director = random.Random(seed), director_with(method, persistent=60)
    lost: list[int] = []
    fragments = Reassembly(lambda given_up, _why: lost.append(len(given_up)))
    for packet in (tcp(STEADY, WEB), tcp(RS1, STEADY, SYN | ACK), tcp(STEADY, WEB, ACK)):
        director.decide(packet, 0)
    of_ipv6 = Endpoint("fd00::2", 80), *([Endpoint("172.16.0.9", 80)] if method is Method.TUN else [])
    director.apply([AddService(_IPV6_WEB, persistent=60, netmask="64")], 0)
    director.apply([AddServer(_IPV6_WEB, server, method=method) for server in of_ipv6], 0)
    kept = whole = 0
    for number in range(CHANCES):
        now = number / 100
        packet = by_chance(chance)
        decision: Decision = director.decide(packet, now)
        if isinstance(decision, Drop) and decision.awaits_reassembly:
            kept, whole = kept + 1, whole + len(_gathered(fragments, packet, now))
        if number % 1000 == 0:
            director.tick(now)
            fragments.tick(now)
            assert isinstance(director.decide(tcp(STEADY, WEB, ACK), now), Forward)
            check_counts(director, 1 << 20)
    fragments.tick(1e9)
    assert fragments.size == 0
    assert kept == sum(lost) + whole


def _gathered(fragments: Reassembly, packet: Packet, now: float) -> Sequence[bytes]:
    return fragments.add(packet, b"\x45" + bytes(19), now)


ports = st.one_of(st.sampled_from([0, 20, 21, 65535]), st.integers(0, 65535))
flags = st.integers(0, 255)
ORDERS = tuple(permutations(range(3)))


class AnyPacket(RuleBasedStateMachine):
    """A director that gets anything; one connection stays established throughout."""

    @initialize(
        method=st.sampled_from([Method.NAT, Method.TUN, Method.DR]), persistent=st.sampled_from([0, 60])
    )
    def start(self, method: Method, persistent: int) -> None:
        self.now = 0.0
        self.waiting = Reassembly(lambda _fragments, _why: None)
        self.director = director_with(method, persistent)
        self.decide(tcp(STEADY, WEB))
        self.decide(tcp(RS1, STEADY, SYN | ACK))
        self.decide(tcp(STEADY, WEB, ACK))

    def decide(self, packet: Packet) -> None:
        self.director.decide(packet, self.now)

    @rule(port=ports, flags=flags, at=st.sampled_from([WEB, FTP, Endpoint(VIP, 0), Endpoint(VIP, 30000)]))
    def request(self, port: int, flags: int, at: Endpoint) -> None:
        self.decide(tcp(client(port), at, flags))

    @rule(port=ports, flags=flags, at=st.sampled_from([80, 21, 20, 0]))
    def reply(self, port: int, flags: int, at: int) -> None:
        self.decide(tcp(RS1._replace(port=at), client(port), flags, payload=b"227 (172,16,0,2,0,0)\r\n"))

    @rule(port=ports, length=st.sampled_from([0, 20, 28, 65535]))
    def datagram(self, port: int, length: int) -> None:
        self.decide(Packet(UDP, client(port), DNS, length))

    @rule(
        port=ports,
        at=st.sampled_from([WEB, FTP, DNS]),
        identification=st.integers(0, 2),
        order=st.sampled_from(ORDERS),
        size=st.integers(1, 185),
        flags=flags,
    )
    def fragments(
        self, port: int, at: Endpoint, identification: int, order: tuple[int, ...], size: int, flags: int
    ) -> None:
        protocol = UDP if at == DNS else TCP
        for place in order:
            where = {"fragment_offset": place * size, "more_fragments": place < 2}
            more: dict[str, Any] = {**where, "identification": identification}
            fragment = Packet(protocol, client(0), Endpoint(VIP, 0), 20 + 8 * size, **more)
            decision = self.director.decide(fragment, self.now)
            assert isinstance(decision, Drop)
            assert decision.awaits_reassembly
            if self.waiting.add(fragment, b"\x45" + bytes(19), self.now):
                length, longest = 20 + 24 * size, 20 + 8 * size
                self.decide(Packet(protocol, client(port), at, length, largest_fragment=longest, flags=flags))

    @rule(seconds=st.sampled_from([0.5, 1, 9, 30]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.director.tick(self.now)
        self.waiting.tick(self.now)
        self.decide(tcp(STEADY, WEB, ACK))

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "director"):
            check_counts(self.director, 1 << 20)
            known = self.director.connections.find_in(TCP, STEADY, WEB)
            assert known is not None
            assert known.active


AnyPacket.TestCase.settings = settings(max_examples=120 if LONG else 30, stateful_step_count=40)
TestAnyPacket = AnyPacket.TestCase
