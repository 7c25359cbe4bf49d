"""A peer's value is never a mark of the director's own: every port, flag and order of fragments."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.decision import Forward, Method
from director.core.director import Director
from director.core.packet import ACK, ANY_PORT, FIN, SYN, TCP, UDP, Endpoint, Packet
from tests.unit.director.core.support import FTP, FTP2, RS1, VIP, WEB, client, direct, published, tcp
from tests.unit.director.core.test_fuzz import check_counts

DNS = Endpoint(VIP, 53)
STEADY = client(40000, "198.51.100.77")  # of a connection that has to outlive everything
NOBODY = client(ANY_PORT)


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
    assert director.connections.expected == 0
    director.tick(1000)
    assert len(director.connections) == 0


def test_port_0_is_not_the_client_that_ftp_expects() -> None:
    director = published()
    director.decide(tcp(client(1025), FTP), 0)
    director.decide(tcp(FTP2, client(1025), SYN | ACK), 0)
    director.decide(tcp(client(1025), FTP, ACK), 0)
    passive = b"227 Entering Passive Mode (172,16,0,3,117,48).\r\n"
    director.decide(tcp(FTP2, client(1025), ACK, payload=passive, sequence=1), 0)
    assert director.connections.expected == 1
    data = Endpoint(VIP, 117 * 256 + 48)
    decision = director.decide(tcp(client(0), data), 0)
    assert isinstance(decision, Forward)
    assert decision.connection.client == client(0)
    assert director.connections.expected == 0
    assert director.connections.request(TCP, NOBODY, data) is None


def test_an_expected_client_is_listed_with_port_0() -> None:
    assert str(NOBODY) == "198.51.100.101:0"


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


ports = st.one_of(st.sampled_from([0, 20, 21, 65535]), st.integers(0, 65535))
flags = st.integers(0, 255)
ORDERS = tuple(permutations(range(3)))


class AnyPacket(RuleBasedStateMachine):
    """A director, whatever comes; one connection is established from the beginning to the end."""

    @initialize(
        method=st.sampled_from([Method.NAT, Method.TUN, Method.DR]), persistent=st.sampled_from([0, 60])
    )
    def start(self, method: Method, persistent: int) -> None:
        self.now = 0.0
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
        port=ports, identification=st.integers(0, 2), order=st.sampled_from(ORDERS), size=st.integers(1, 185)
    )
    def fragments(self, port: int, identification: int, order: tuple[int, ...], size: int) -> None:
        for place in order:
            more = {
                "more_fragments": place < 2,
                "identification": identification,
                "fragment_offset": place * size,
            }
            ends = (client(port), DNS) if not place else (client(0), Endpoint(VIP, 0))
            self.decide(Packet(UDP, *ends, 20 + 8 * size, **more))  # type: ignore[arg-type]

    @rule(seconds=st.sampled_from([0.5, 1, 9, 30]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.director.tick(self.now)
        self.decide(tcp(STEADY, WEB, ACK))

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "director"):
            check_counts(self.director, 1 << 20)
            known = self.director.connections.request(TCP, STEADY, WEB)
            assert known is not None
            assert known.active


AnyPacket.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyPacket = AnyPacket.TestCase
