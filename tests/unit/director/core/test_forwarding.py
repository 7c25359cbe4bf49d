"""What the director decides, packet by packet."""

from __future__ import annotations

import pytest

from director.core.commands import AddServer, AddService, Clear, DeleteServer, EditServer, ServiceKey
from director.core.decision import Drop, Forward, Pass, Reject
from director.core.director import Director
from director.core.errors import BadValue
from director.core.events import Event
from director.core.family import is_martian
from director.core.packet import ICMP, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from tests.unit.director.core.support import (
    ACK,
    CIP,
    FIN,
    FTP,
    FTP2,
    RS1,
    RS2,
    RST,
    SYN,
    VIP,
    WEB,
    client,
    direct,
    entry,
    published,
    tcp,
)

# ---- the methods ----


def forward(director: Director, packet: Packet, now: float = 0.0) -> Forward:
    decision = director.decide(packet, now)
    assert isinstance(decision, Forward), decision
    return decision


def server_of(director: Director, port: int, now: float = 0.0) -> str:
    forward(director, tcp(client(port), WEB), now)
    return str(entry(director, client(port), WEB).server_endpoint)


class TestNat:
    def test_the_four_packets_of_the_published_table(self) -> None:
        director = published()
        picks = [forward(director, tcp(client(port), WEB)) for port in (1, 2, 3)]
        assert [pick.destination for pick in picks] == [RS2, RS1, RS2]
        assert {pick.source for pick in picks} == {client(1), client(2), client(3)}
        reply = forward(director, tcp(RS2, client(1), SYN | ACK))
        assert (reply.source, reply.destination, reply.next_hop) == (WEB, client(1), CIP)

    def test_later_packets_go_to_the_same_server(self) -> None:
        director = published()
        first = forward(director, tcp(client(1), WEB)).destination
        assert forward(director, tcp(client(1), WEB, ACK)).destination == first

    def test_a_reply_without_a_connection_is_passed(self) -> None:
        assert isinstance(published().decide(tcp(RS1, client(9), SYN | ACK), 0), Pass)

    def test_the_states_of_a_complete_connection(self) -> None:
        director = published()
        forward(director, tcp(client(1), WEB))
        connection = entry(director, client(1), WEB)
        end = connection.server_endpoint
        observed = []
        for packet in (
            tcp(end, client(1), SYN | ACK),
            tcp(client(1), WEB, ACK),
            tcp(client(1), WEB, FIN | ACK),
            tcp(end, client(1), FIN | ACK),
            tcp(client(1), WEB, ACK),
        ):
            director.decide(packet, 1.0)
            observed.append(connection.state.value)
        assert observed == ["SYN_RECV", "ESTABLISHED", "CLOSE_WAIT", "TIME_WAIT", "TIME_WAIT"]


@pytest.mark.parametrize("method", [Method.TUN, Method.DR])
class TestTunAndDr:
    def test_the_packet_is_not_rewritten(self, method: Method) -> None:
        sent = forward(direct(method), tcp(client(1), WEB))
        assert (sent.method, sent.source, sent.destination) == (method, client(1), WEB)
        assert sent.next_hop == "203.0.113.11"

    def test_the_clients_packets_change_the_state(self, method: Method) -> None:
        director = direct(method)
        forward(director, tcp(client(1), WEB))
        connection = entry(director, client(1), WEB)
        observed = [connection.state.value]
        for flags in (ACK, FIN | ACK):
            director.decide(tcp(client(1), WEB, flags), 0)
            observed.append(connection.state.value)
        assert observed == ["SYN_RECV", "ESTABLISHED", "FIN_WAIT"]

    def test_an_ftp_data_connection_goes_to_the_sessions_server(self, method: Method) -> None:
        director = direct(method)
        sessions = {}
        for number in (1, 2, 3):
            address = f"198.51.100.{number}"
            sessions[address] = forward(director, tcp(client(1, address), FTP)).next_hop
        assert len(set(sessions.values())) == 2
        for address, server in sessions.items():
            data = forward(director, tcp(client(2, address), Endpoint(VIP, 30000)))
            assert (data.next_hop, data.destination) == (server, Endpoint(VIP, 30000))

    def test_the_session_expires(self, method: Method) -> None:
        director = direct(method)
        first = forward(director, tcp(client(1), FTP))
        director.expire(301)
        later = director.decide(tcp(client(2), Endpoint(VIP, 30000)), 301)
        assert isinstance(later, Forward)
        assert later.next_hop != first.next_hop


class TestSize:
    def test_a_tunnel_needs_twenty_bytes_of_the_mtu(self) -> None:
        director = direct(Method.TUN)
        forward(director, tcp(client(1), WEB))
        fits = tcp(client(1), WEB, ACK, length=1480, dont_fragment=True)
        too_long = tcp(client(1), WEB, ACK, length=1481, dont_fragment=True)
        assert isinstance(director.decide(fits, 0), Forward)
        answer = director.decide(too_long, 0)
        assert isinstance(answer, Reject)
        assert (answer.icmp_type, answer.icmp_code, answer.mtu) == (3, 4, 1480)

    def test_without_df_it_may_be_fragmented(self) -> None:
        director = direct(Method.TUN)
        assert isinstance(director.decide(tcp(client(1), WEB, length=1500), 0), Forward)

    def test_the_mtu_is_that_of_the_path(self) -> None:
        director = published(mtu_of=lambda address: 1400 if address == RS2.address else 1500)
        long = tcp(client(1), WEB, length=1450, dont_fragment=True)
        answer = director.decide(long, 0)
        assert isinstance(answer, Reject)
        assert answer.mtu == 1400

    def test_an_expired_ttl_is_rejected(self) -> None:
        answer = published().decide(tcp(client(1), WEB, ttl=1), 0)
        assert isinstance(answer, Reject)
        assert answer.icmp_type == 11


class TestRefusal:
    def test_a_port_without_a_service_is_passed(self) -> None:
        assert isinstance(published().decide(tcp(client(1), Endpoint(VIP, 81)), 0), Pass)

    @pytest.mark.parametrize("flags", [ACK, FIN | ACK, RST, SYN | RST, 0])
    def test_only_a_syn_opens_a_connection(self, flags: int) -> None:
        director = published()
        assert isinstance(director.decide(tcp(client(1), WEB, flags), 0), Pass)
        assert len(director.connections) == 0

    def test_a_connection_from_port_20_is_not_scheduled(self) -> None:
        assert isinstance(published().decide(tcp(client(20), WEB), 0), Pass)

    def test_without_an_available_server_the_port_is_unreachable(self) -> None:
        director = published()
        key = ServiceKey(TCP, WEB)
        director.apply([EditServer(key, RS1, weight=0), EditServer(key, RS2, weight=0)], 0)
        answer = director.decide(tcp(client(1), WEB), 0)
        assert isinstance(answer, Reject)
        assert (answer.icmp_type, answer.icmp_code) == (3, 3)

    def test_only_fragments_for_a_vip_are_held(self) -> None:
        director = published()
        assert isinstance(director.decide(tcp(client(1), WEB, fragment_offset=185), 0), Drop)
        assert isinstance(director.decide(tcp(client(1), RS1, more_fragments=True), 0), Pass)


class TestServers:
    def test_weight_zero_keeps_its_connections(self) -> None:
        director = published()
        assert server_of(director, 1) == str(RS2)
        director.apply([EditServer(ServiceKey(TCP, WEB), RS2, weight=0)], 0)
        assert forward(director, tcp(client(1), WEB, ACK)).destination == RS2
        assert {server_of(director, port) for port in range(10, 20)} == {str(RS1)}

    def test_packets_to_a_deleted_server_are_dropped_until_it_comes_back(self) -> None:
        director = published()
        key = ServiceKey(TCP, WEB)
        server_of(director, 1)
        director.apply([DeleteServer(key, RS2)], 0)
        assert isinstance(director.decide(tcp(client(1), WEB, ACK), 0), Drop)
        director.apply([AddServer(key, RS2, 2)], 0)
        assert forward(director, tcp(client(1), WEB, ACK)).destination == RS2

    def test_counters_follow_the_connections(self) -> None:
        director = published()
        forward(director, tcp(client(1), WEB))
        connection = entry(director, client(1), WEB)
        server = connection.server
        assert (server.stats.connections, server.active, server.inactive) == (1, 1, 0)
        director.decide(tcp(RS2, client(1), SYN | ACK), 0)
        director.decide(tcp(client(1), WEB, ACK), 0)
        director.decide(tcp(client(1), WEB, FIN | ACK), 0)
        assert (server.stats.connections, server.active, server.inactive) == (1, 0, 1)
        assert director.expire(59) == 0
        assert director.expire(61) == 1
        assert (server.stats.connections, server.active, server.inactive) == (1, 0, 0)

    def test_clear_removes_the_services(self) -> None:
        director = published()
        director.apply([Clear()], 0)
        assert director.rules.vips() == set()
        assert isinstance(director.decide(tcp(client(1), WEB), 0), Pass)


def test_a_connection_that_is_over_is_replaced() -> None:
    director = published()
    forward(director, tcp(client(1), WEB))
    first = entry(director, client(1), WEB)
    director.decide(tcp(RS2, client(1), SYN | ACK), 0)
    director.decide(tcp(client(1), WEB, ACK), 0)
    director.decide(tcp(client(1), WEB, RST), 0)
    assert first.state.value == "CLOSE"
    forward(director, tcp(client(1), WEB))
    second = entry(director, client(1), WEB)
    assert second is not first
    assert len(director.connections) == 1


def test_udp_is_balanced_too() -> None:
    director = Director()
    dns = Endpoint(VIP, 53)
    key = ServiceKey(UDP, dns)
    from director.core.commands import AddService

    director.apply([AddService(key), AddServer(key, Endpoint("172.16.0.2", 5353))], 0)
    sent = forward(director, Packet(UDP, client(1), dns, 60))
    assert sent.destination == Endpoint("172.16.0.2", 5353)
    assert entry(director, client(1), dns, UDP).state.value == "UDP"


class TestIcmp:
    def test_a_ping_of_the_vip_is_passed(self) -> None:
        echo = Packet(ICMP, client(0), Endpoint(VIP, 0), 84, icmp_type=8)
        assert isinstance(published().decide(echo, 0), Pass)

    def test_an_error_about_a_reply_goes_to_the_real_server(self) -> None:
        director = published()
        forward(director, tcp(client(1), WEB))
        about = tcp(WEB, client(1), ACK)
        error = Packet(ICMP, Endpoint("198.51.100.254", 0), Endpoint(VIP, 0), 56, icmp_type=3, embedded=about)
        sent = forward(director, error)
        assert sent.destination.address == RS2.address
        assert sent.embedded_source == RS2

    def test_an_error_about_a_request_goes_to_the_client(self) -> None:
        director = published()
        forward(director, tcp(client(1), WEB))
        about = tcp(client(1), RS2, ACK)
        error = Packet(ICMP, Endpoint(RS2.address, 0), Endpoint(CIP, 0), 56, icmp_type=3, embedded=about)
        sent = forward(director, error)
        assert (sent.source.address, sent.destination.address) == (VIP, CIP)
        assert sent.embedded_destination == WEB

    def test_an_icmp_error_whose_ttl_expires_is_dropped(self) -> None:
        director = published()
        forward(director, tcp(client(1), WEB))
        ends = Endpoint("198.51.100.254", 0), Endpoint(VIP, 0)
        error = Packet(ICMP, *ends, 56, ttl=1, icmp_type=3, embedded=tcp(WEB, client(1), ACK))
        assert isinstance(director.decide(error, 0), Drop)

    def test_an_error_about_no_known_connection_is_passed(self) -> None:
        about = tcp(WEB, client(7), ACK)
        error = Packet(ICMP, client(0), Endpoint(VIP, 0), 56, icmp_type=3, embedded=about)
        assert isinstance(published().decide(error, 0), Pass)


class TestFtp:
    def session(self) -> Director:
        director = published()
        forward(director, tcp(client(1), FTP))
        director.decide(tcp(FTP2, client(1), SYN | ACK), 0)
        director.decide(tcp(client(1), FTP, ACK), 0)
        return director

    def test_a_passive_reply_is_rewritten_and_its_connection_let_in(self) -> None:
        director = self.session()
        text = b"227 Entering passive mode (172,16,0,3,117,48).\r\n"
        reply = forward(director, tcp(FTP2, client(1), ACK, payload=text, sequence=1000))
        assert reply.payload == b"227 Entering passive mode (203,0,113,1,117,48).\r\n"
        data = forward(director, tcp(client(2), Endpoint(VIP, 30000)))
        assert data.destination == Endpoint(FTP2.address, 30000)

    def test_the_new_length_shifts_later_sequence_numbers(self) -> None:
        director = self.session()
        text = b"227 Entering passive mode (172,16,0,3,117,48).\r\n"
        for _ in range(2):  # sent again, it must not shift twice
            reply = forward(director, tcp(FTP2, client(1), ACK, payload=text, sequence=1000))
            assert reply.sequence_delta == 0
        following = forward(director, tcp(FTP2, client(1), ACK, sequence=1000 + len(text)))
        assert following.sequence_delta == 1
        answer = forward(director, tcp(client(1), FTP, ACK, acknowledgement=1001 + len(text)))
        assert answer.acknowledgement_delta == -1

    def test_an_extended_passive_connection_is_let_in(self) -> None:
        director = self.session()
        text = b"229 Entering extended passive mode (|||30001|).\r\n"
        assert forward(director, tcp(FTP2, client(1), ACK, payload=text)).payload is None
        data = forward(director, tcp(client(2), Endpoint(VIP, 30001)))
        assert data.destination == Endpoint(FTP2.address, 30001)

    @pytest.mark.parametrize(
        "pieces",
        [
            [b"PORT 198,51,100,101,156,64\r\n"],
            [b"EPRT |1|198.51.100.101|40000|\r\n"],
            [b"PORT 198,51,1", b"00,101,156,64\r\n"],
        ],
        ids=["PORT", "EPRT", "PORT in two segments"],
    )
    def test_an_active_connection_comes_from_the_vip(self, pieces: list[bytes]) -> None:
        director = self.session()
        sequence = 500
        for piece in pieces:
            forward(director, tcp(client(1), FTP, ACK, payload=piece, sequence=sequence))
            sequence += len(piece)
        data = forward(director, tcp(Endpoint(FTP2.address, 20), client(40000)))
        assert data.source == Endpoint(VIP, 20)

    def test_no_data_connection_to_a_third_party(self) -> None:
        director = self.session()
        text = b"PORT 198,51,100,9,156,64\r\n"
        forward(director, tcp(client(1), FTP, ACK, payload=text))
        elsewhere = Endpoint("198.51.100.9", 40000)
        assert isinstance(director.decide(tcp(Endpoint(FTP2.address, 20), elsewhere), 0), Pass)


def test_events_tell_the_story() -> None:
    events: list[Event] = []
    director = published(on_event=events.append)
    forward(director, tcp(client(1), WEB), 1.0)
    director.expire(100)
    kinds = [event.kind for event in events if event.kind != "rules"]
    assert kinds == ["new", "state", "expired"]
    assert events[-1].as_dict()["client"] == str(client(1))


def test_udp_from_port_20_is_not_scheduled_either() -> None:
    director = Director()
    key = ServiceKey(UDP, Endpoint(VIP, 53))
    director.apply([AddService(key), AddServer(key, Endpoint("172.16.0.2", 53))], 0)
    assert isinstance(director.decide(Packet(UDP, client(20), key.address, 60), 0), Pass)
    assert isinstance(director.decide(Packet(UDP, client(21), key.address, 60), 0), Forward)


# ---- one-packet scheduling (ipvsadm -o) ----


NAMES = Endpoint(VIP, 53)
DNS_KEY = ServiceKey(UDP, NAMES)


def once(method: Method) -> Director:
    director = Director(method=method, scheduler="rr")
    servers = [AddServer(DNS_KEY, Endpoint(f"203.0.113.{host}", 53)) for host in (12, 11)]
    director.apply([AddService(DNS_KEY, one_packet=True), *servers], 0)
    return director


@pytest.mark.parametrize("method", [Method.NAT, Method.TUN, Method.DR])
def test_each_packet_is_scheduled_and_no_entry_kept(method: Method) -> None:
    director = once(method)
    decisions = [director.decide(Packet(UDP, client(1), NAMES, 60), 0) for _ in range(4)]
    hops = [decision.next_hop for decision in decisions if isinstance(decision, Forward)]
    assert hops == ["203.0.113.11", "203.0.113.12"] * 2
    assert not list(director.listing(0))


def test_one_packet_connections_are_counted() -> None:
    director = once(Method.DR)
    for _ in range(4):
        director.decide(Packet(UDP, client(1), NAMES, 60), 0)
    (service,) = director.rules
    assert (service.stats.connections, service.stats.packets_in, service.stats.bytes_in) == (4, 4, 240)
    assert [server.stats.connections for server in service.servers] == [2, 2]
    assert [server.active + server.inactive for server in service.servers] == [0, 0]


def test_a_reply_belongs_to_no_connection() -> None:
    director = once(Method.NAT)
    director.decide(Packet(UDP, client(1), NAMES, 60), 0)
    reply = Packet(UDP, Endpoint("203.0.113.11", 53), client(1), 60)
    assert isinstance(director.decide(reply, 0), Pass)


def test_one_packet_scheduling_is_refused_for_tcp() -> None:
    with pytest.raises(BadValue, match="UDP"):
        Director().apply([AddService(ServiceKey(TCP, NAMES), one_packet=True)], 0)


# ---- the local node: a real server that is the director itself ----


KEY = ServiceKey(TCP, WEB)
OWN, OTHER = Endpoint("203.0.113.2", 80), Endpoint("203.0.113.11", 80)


def local(method: Method = Method.DR, **options: object) -> Director:
    director = Director(
        method=method,
        scheduler="rr",
        is_local=lambda address: address in (OWN.address, "127.0.0.1"),
        **options,  # type: ignore[arg-type]
    )
    director.apply([AddService(KEY), AddServer(KEY, OTHER), AddServer(KEY, OWN)], 0)
    return director


@pytest.mark.parametrize("method", [Method.NAT, Method.TUN, Method.DR])
def test_the_local_node_gets_packets_unchanged_with_every_method(method: Method) -> None:
    director = local(method)
    first, second = (forward(director, tcp(client(port), WEB)) for port in (1, 2))
    assert (first.method, first.source, first.destination) == (Method.LOCAL, client(1), WEB)
    assert second.method is method
    (service,) = director.rules
    assert [server.as_dict()["method"] for server in service.servers] == [method.value] * 2


def test_the_local_node_keeps_its_requested_method() -> None:
    """As in the kernel, it is listed and saved, and an edit keeps it."""
    director = local()
    director.apply([EditServer(KEY, OWN, method=Method.TUN), EditServer(KEY, OTHER, method=Method.NAT)], 0)
    director.apply([EditServer(KEY, OWN, weight=7)], 0)
    (service,) = director.rules
    assert [server.method for server in service.servers] == [Method.LOCAL, Method.NAT]
    assert [server.as_dict()["method"] for server in service.servers] == ["Tunnel", "Masq"]


@pytest.mark.parametrize(
    "packet", [tcp(client(1), WEB, ttl=1), tcp(client(1), WEB, length=9000, dont_fragment=True)]
)
def test_the_local_node_has_no_mtu_and_no_ttl(packet: Packet) -> None:
    assert forward(local(), packet).method is Method.LOCAL


def test_of_the_local_node_the_director_sees_the_clients_packets() -> None:
    director = local(Method.NAT)
    forward(director, tcp(client(1), WEB))
    connection = entry(director, client(1), WEB)
    observed = []
    for flags in (ACK, FIN | ACK):
        director.decide(tcp(client(1), WEB, flags), 0)
        observed.append(connection.state.value)
    assert observed == ["ESTABLISHED", "FIN_WAIT"]


@pytest.mark.parametrize("method", [Method.TUN, Method.DR])
def test_the_local_node_has_the_services_port(method: Method) -> None:
    with pytest.raises(BadValue, match="only VS-NAT changes it"):
        local(method).apply([AddServer(KEY, Endpoint("127.0.0.1", 8080))], 0)


def test_in_vs_nat_the_local_node_may_have_its_own_port() -> None:
    """The packet is unchanged: the engine redirects it to that port."""
    director = local(Method.NAT)
    director.apply([DeleteServer(KEY, OWN), DeleteServer(KEY, OTHER)], 0)
    director.apply([AddServer(KEY, Endpoint(OWN.address, 8080))], 0)
    decision = forward(director, tcp(client(1), WEB))
    assert (decision.method, decision.destination) == (Method.LOCAL, WEB)
    assert entry(director, client(1), WEB).server_endpoint == Endpoint(OWN.address, 8080)


def test_an_icmp_error_about_the_local_nodes_reply_is_passed() -> None:
    director = local()
    forward(director, tcp(client(1), WEB))
    about = Packet(TCP, WEB, client(1), 40)
    error = Packet(ICMP, Endpoint(CIP, 0), Endpoint(VIP, 0), 68, icmp_type=3, icmp_code=1, embedded=about)
    assert isinstance(director.decide(error, 0), Pass)


def test_a_second_syn_finds_the_local_node_again() -> None:
    director = local()
    assert forward(director, tcp(client(1), WEB)).method is Method.LOCAL
    assert forward(director, tcp(client(1), WEB, SYN)).method is Method.LOCAL


@pytest.mark.parametrize(
    "source", ["127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255", VIP]
)
def test_no_client_has_a_martian_source(source: str) -> None:
    """As in the kernel, where such a packet does not even get as far as IPVS."""
    director = published()
    decision = director.decide(tcp(Endpoint(source, 1025), WEB), 0)
    assert isinstance(decision, Drop)
    assert decision.reasons == (f"martian source {source}: no client has that address",)
    assert len(director.connections) == 0


def test_no_client_has_an_address_of_the_directors_own() -> None:
    """Packets of a known connection are not asked, nor is IPv6, as in the kernel."""
    own = Endpoint("203.0.113.2", 1025)
    director = published(is_own=lambda address: address in (own.address, "2001:db8::2"))
    decision = director.decide(tcp(own, WEB), 0)
    assert isinstance(decision, Drop)
    assert decision.reasons == ("martian source 203.0.113.2: no client has that address",)
    of_ipv6 = ServiceKey(TCP, Endpoint("2001:db8::80", 80))
    director.apply([AddService(of_ipv6), AddServer(of_ipv6, Endpoint("2001:db8::11", 80))], 0)
    assert isinstance(director.decide(tcp(Endpoint("2001:db8::2", 1025), of_ipv6.address), 0), Forward)
    assert len(director.connections) == 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        *((address, True) for address in ("::1", "ff02::1", "ff0e::8", "::ffff:198.51.100.1")),
        *((address, False) for address in ("::", "::2", "fe80::1", "fd00::1", "ff::1", "2001:db8::ff")),
        *((address, False) for address in ("1.0.0.0", "22.4.0.1", "126.0.0.1", "128.0.0.1", "223.9.9.9")),
        *((address, False) for address in ("240.0.0.1", "255.255.255.254", "10.0.127.0")),
    ],
)
def test_martians(source: str, expected: bool) -> None:
    assert is_martian(source) is expected
