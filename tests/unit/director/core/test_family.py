"""IPv6 in the core: what the table of families changes, and what is the same for both."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.commands import AddMark, AddServer, AddService, ServiceKey, SetSysctl, mark_key
from director.core.decision import Decision, Drop, Forward, Pass, PathMtu, Reject
from director.core.director import Director
from director.core.errors import BadValue
from director.core.family import IPV4, IPV6, canonical, family_of, ip_to_int, network_of
from director.core.fragments import Reassembly
from director.core.packet import ACK, DESTINATION_OPTIONS, ICMPV6, SYN, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from director.core.schedulers._hash import word
from director.core.sync_protocol import SyncRecord
from director.formats.command_json import decode, encode

CIP, VIP = "2001:db8:1::65", "2001:db8::80"
RS1, RS2 = "fd00::2", "fd00::3"
WEB, FTP = Endpoint(VIP, 80), Endpoint(VIP, 21)
KEY = ServiceKey(TCP, WEB)

addresses = st.ip_addresses(v=6).map(str).map(canonical)


def published(method: Method = Method.NAT, servers: tuple[str, ...] = (RS1, RS2), **options: Any) -> Director:
    director = Director(method=method, **options)
    for service in (WEB, FTP):
        key = ServiceKey(TCP, service)
        added = [AddServer(key, Endpoint(address, service.port)) for address in servers]
        director.apply([AddService(key), *added], 0)
    return director


def tcp(source: Endpoint, destination: Endpoint, flags: int = SYN, **more: Any) -> Packet:
    return Packet(TCP, source, destination, flags=flags, **{"length": 60, "dont_fragment": True, **more})


def client(port: int = 40000, address: str = CIP) -> Endpoint:
    return Endpoint(address, port)


def forwarded(decision: Decision) -> Forward:
    assert isinstance(decision, Forward), decision
    return decision


# ---- addresses ----


@given(addresses)
def test_an_address_is_text_and_a_number(address: str) -> None:
    assert family_of(address) is IPV6
    assert ip_to_int(address) == int(IPv6Address(address))
    assert IPV6.text(ip_to_int(address)) == address
    assert canonical(IPv6Address(address).exploded) == canonical(address.upper()) == address


@given(addresses, st.integers(1, 128))
def test_a_prefix_length_leaves_out_bits(address: str, length: int) -> None:
    network = IPv6Network((address, length), strict=False)
    assert ip_to_int(network_of(address, str(length))) == int(network.network_address)


@given(addresses)
def test_the_words_of_an_address_are_combined(address: str) -> None:
    packed = IPv6Address(address).packed
    words = [int.from_bytes(packed[at : at + 4], "big") for at in range(0, 16, 4)]
    assert word(address) == words[0] ^ words[1] ^ words[2] ^ words[3]


def test_an_endpoint_is_shown_in_brackets() -> None:
    assert str(WEB) == "[2001:db8::80]:80"
    assert str(Endpoint("192.0.2.1", 80)) == "192.0.2.1:80"


# ---- rules ----


@pytest.mark.parametrize(
    ("server", "method", "why"),
    [
        ("172.16.0.2", Method.NAT, "expected an IPv6 address, like TCP [2001:db8::80]:80, or VS-TUN"),
        ("172.16.0.2", Method.DR, "or VS-TUN"),
        ("ff02::1", Method.NAT, "the address of one host"),
        ("::", Method.NAT, "the address of one host"),
        ("::ffff:192.0.2.1", Method.NAT, "not IPv4-mapped: write 192.0.2.1"),
        ("fe80::1", Method.NAT, "a rule names no interface"),
        ("fe80::1%eth0", Method.NAT, "without a zone"),
        ("2001:DB8::1", Method.NAT, "an address such as"),
        ("2001:db8::g", Method.NAT, "an address such as"),
        ("1::2::3", Method.NAT, "an address such as"),
    ],
)
def test_a_real_server_that_is_refused(server: str, method: Method, why: str) -> None:
    director = Director()
    director.apply([AddService(KEY)], 0)
    with pytest.raises(BadValue) as refused:
        director.apply([AddServer(KEY, Endpoint(server, 80), method=method)], 0)
    assert why in str(refused.value)


def test_a_service_of_ipv4_has_a_server_of_ipv6_in_a_tunnel_only() -> None:
    key = ServiceKey(TCP, Endpoint("203.0.113.1", 80))
    director = Director(method=Method.TUN)
    director.apply([AddService(key), AddServer(key, Endpoint(RS1, 80))], 0)
    with pytest.raises(BadValue, match="an IPv4 address, like TCP 203"):
        director.apply([AddServer(key, Endpoint(RS2, 80), method=Method.DR)], 0)


@pytest.mark.parametrize("netmask", ["0", "129", "255.255.255.0", "-1", "064", ""])
def test_a_prefix_length_that_is_refused(netmask: str) -> None:
    with pytest.raises(BadValue, match="a prefix length from 1 to 128"):
        Director().apply([AddService(KEY, persistent=60, netmask=netmask)], 0)


def test_clients_of_one_network_have_one_server() -> None:
    director = Director()
    director.apply([AddService(KEY, "rr", persistent=60, netmask="64")], 0)
    director.apply([AddServer(KEY, Endpoint(address, 80)) for address in (RS1, RS2)], 0)
    servers = {
        address: forwarded(director.decide(tcp(client(1, address), WEB), 1)).next_hop
        for address in ("2001:db8:1::1", "2001:db8:1:0:ffff::9", "2001:db8:1:1::1")
    }
    assert servers["2001:db8:1::1"] == servers["2001:db8:1:0:ffff::9"] != servers["2001:db8:1:1::1"]
    shown = [
        row["client"] for row in director.listing(2) if row["state"] == "NONE" and row["client"][-1] == "0"
    ]
    assert "[2001:db8:1::]:0" in shown


def test_a_mark_has_a_service_of_each_family() -> None:
    keys = [mark_key(7, family) for family in (IPV4, IPV6)]
    director = Director()
    director.apply(
        [
            AddMark(7, "2001:db8::/64", TCP),
            AddMark(7, "203.0.113.0/24", TCP),
            *(AddService(key, persistent=60) for key in keys),
            AddServer(keys[0], Endpoint("172.16.0.2", 0)),
            AddServer(keys[1], Endpoint(RS1, 0)),
        ],
        0,
    )
    assert forwarded(director.decide(tcp(client(), WEB), 1)).next_hop == RS1
    old = tcp(Endpoint("198.51.100.101", 40000), Endpoint("203.0.113.9", 80))
    assert forwarded(director.decide(old, 1)).next_hop == "172.16.0.2"
    assert [str(service) for service in director.rules] == ["FWM 7", "FWM 7 IPv6"]
    assert {row["vip"] for row in director.listing(1)} >= {"0.0.0.7:0", "[0:7::]:0"}
    assert [decode(encode(AddService(key))).key for key in keys] == keys  # type: ignore[union-attr]


# ---- forwarding ----


def test_a_connection_through_nat_and_back() -> None:
    director = published()
    request = forwarded(director.decide(tcp(client(), WEB), 1))
    assert request.destination == Endpoint(RS2, 80) == director.rules.by_key[KEY].servers[0].address
    reply = forwarded(director.decide(tcp(Endpoint(RS2, 80), client(), SYN | ACK), 1))
    assert (reply.source, reply.destination) == (WEB, client())
    assert isinstance(director.decide(tcp(client(), Endpoint("2001:db8::81", 80)), 1), Pass)


def test_a_packet_of_two_families_is_nobodys() -> None:
    packet = tcp(client(), Endpoint("203.0.113.1", 80))
    assert isinstance(published().decide(packet, 1), Pass)


@pytest.mark.parametrize(
    ("method", "mtu", "length", "announced"),
    [
        (Method.NAT, 1500, 1500, None),
        (Method.NAT, 1400, 1401, 1400),
        (Method.DR, 1280, 1281, 1280),
        (Method.TUN, 1500, 1460, None),
        (Method.TUN, 1500, 1461, 1460),
        (Method.TUN, 1320, 1281, 1280),
    ],
)
def test_packet_too_big(method: Method, mtu: int, length: int, announced: int | None) -> None:
    director = published(method, mtu_of=lambda _address: mtu)
    decision = director.decide(tcp(client(), WEB, length=length), 1)
    if announced is None:
        forwarded(decision)
    else:
        assert isinstance(decision, Reject)
        assert (decision.icmp_type, decision.icmp_code, decision.mtu) == (2, 0, announced)


@pytest.mark.parametrize("pmtu_disc", [0, 1])  # differs: narrow-tunnels
@pytest.mark.parametrize(
    ("vip", "cip", "server", "mtu", "length", "fits"),
    [
        (VIP, CIP, RS1, 1319, 60, False),  # the kernel uses no tunnel over IPv6 that is too narrow for it
        ("203.0.113.1", "198.51.100.101", RS1, 1319, 60, False),
        ("203.0.113.1", "198.51.100.101", RS1, 1320, 1280, True),
        (VIP, CIP, "172.16.0.2", 1299, 60, False),
        (VIP, CIP, "172.16.0.2", 1300, 1280, True),
    ],
)
def test_nobody_is_told_an_mtu_below_1280(
    vip: str, cip: str, server: str, mtu: int, length: int, fits: bool, pmtu_disc: int
) -> None:
    key = ServiceKey(TCP, Endpoint(vip, 80))
    director = Director(method=Method.TUN, mtu_of=lambda _address: mtu)
    director.apply(
        [AddService(key), AddServer(key, Endpoint(server, 80)), SetSysctl("pmtu_disc", pmtu_disc)], 0
    )
    packet = tcp(Endpoint(cip, 1), Endpoint(vip, 80), length=length)
    decision = director.decide(packet, 1)
    if fits:
        forwarded(decision)
    else:
        assert isinstance(decision, Drop)
        assert "IPv6 needs 1280" in decision.reasons[0]


def test_a_hop_limit_that_has_expired() -> None:
    decision = published().decide(tcp(client(), WEB, ttl=1), 1)
    assert isinstance(decision, Reject)
    assert (decision.icmp_type, decision.icmp_code) == (3, 0)


def test_without_a_server_the_port_is_unreachable() -> None:
    director = Director()
    director.apply([AddService(KEY)], 0)
    decision = director.decide(tcp(client(), WEB), 1)
    assert isinstance(decision, Reject)
    assert (decision.icmp_type, decision.icmp_code) == (1, 4)


@pytest.mark.parametrize("protocol", [1, 4, 41, 59, 132])
def test_other_protocols_are_the_kernels(protocol: int) -> None:
    assert isinstance(published().decide(Packet(protocol, client(0), Endpoint(VIP, 0), 60), 1), Pass)


# ---- ICMPv6 ----


def error(quoted: Packet, kind: int = 1, code: int = 0, source: str = RS1, **more: Any) -> Packet:
    return Packet(
        ICMPV6, Endpoint(source, 0), client(0), 100, icmp_type=kind, icmp_code=code, embedded=quoted, **more
    )


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 127])
def test_errors_of_both_ends_are_rewritten(kind: int) -> None:
    director = published(servers=(RS1,))
    request = forwarded(director.decide(tcp(client(), WEB), 1))
    to_client = forwarded(director.decide(error(tcp(client(), request.destination), kind), 2))
    assert (to_client.source.address, to_client.destination.address) == (VIP, CIP)
    assert to_client.embedded_destination == WEB
    about_reply = error(tcp(WEB, client()), kind, source=CIP)
    to_server = forwarded(director.decide(about_reply, 2))
    assert (to_server.destination.address, to_server.embedded_source) == (RS1, Endpoint(RS1, 80))


@pytest.mark.parametrize("kind", [128, 129, 133, 134, 135, 136, 255])
def test_messages_that_are_no_errors_are_the_kernels(kind: int) -> None:
    director = published(servers=(RS1,))
    request = forwarded(director.decide(tcp(client(), WEB), 1))
    assert isinstance(director.decide(error(tcp(client(), request.destination), kind), 2), Pass)


def test_a_tunnels_path_becomes_narrower() -> None:  # differs: errors-inside-tunnels
    director = published(Method.TUN, servers=(RS1,))
    forwarded(director.decide(tcp(client(), WEB), 1))
    outer = Packet(41, Endpoint("fd00::1", 0), Endpoint(RS1, 0), 1500, embedded=tcp(client(), WEB))
    decision = director.decide(error(outer, 2, 0, source="fd00::9", mtu=1400), 2)
    assert decision == Reject(
        2, 0, (f"ICMP error from the tunnel to {RS1}",), 1360, tunnelled=True, path_mtu=PathMtu(RS1, 1400)
    )
    assert isinstance(director.decide(error(outer, 2, 0, source="fd00::9", mtu=1280), 2), Drop)


def test_an_error_about_a_tunnel_reaches_a_client_of_the_other_family() -> None:
    director = Director(method=Method.TUN)
    director.apply([AddService(KEY), AddServer(KEY, Endpoint("172.16.0.2", 80))], 0)
    forwarded(director.decide(tcp(client(), WEB), 1))
    own, server = Endpoint("172.16.0.1", 0), Endpoint("172.16.0.2", 0)
    outer = Packet(41, own, server, 1500, embedded=tcp(client(), WEB))
    for (kind, code, mtu), expected in (
        ((3, 4, 1400), (2, 0, 1380)),
        ((3, 1, 0), (1, 3, 0)),
        ((11, 0, 0), (1, 3, 0)),
    ):
        about = Packet(1, server, own, 100, icmp_type=kind, icmp_code=code, mtu=mtu, embedded=outer)
        decision = director.decide(about, 2)
        assert isinstance(decision, Reject)
        assert (decision.icmp_type, decision.icmp_code, decision.mtu) == expected


# ---- fragments ----


def fragment(offset: int, size: int, *, more: bool, protocol: int = UDP, number: int = 7) -> Packet:
    return Packet(
        protocol,
        client(0),
        Endpoint(VIP, 0),
        48 + size,
        fragment_offset=offset,
        more_fragments=more,
        identification=number,
        extensions=8,
    )


def test_fragments_for_a_vip_wait() -> None:
    director = published()
    for protocol in (TCP, UDP, DESTINATION_OPTIONS):
        decision = director.decide(fragment(0, 16, more=True, protocol=protocol), 1)
        assert isinstance(decision, Drop)
        assert decision.awaits_reassembly


def lost_and_found(*fragments: Packet) -> tuple[list[str], int]:
    lost: list[str] = []
    reassembly = Reassembly(lambda _fragments, why: lost.append(why))
    complete = sum(bool(reassembly.add(piece, bytes(48), 0)) for piece in fragments)
    return lost, complete


def test_a_fragments_next_header_does_not_identify_its_packet() -> None:
    first, last = fragment(0, 16, more=True, protocol=60), fragment(2, 9, more=False)
    assert lost_and_found(last, first) == ([], 1)


@pytest.mark.parametrize(
    ("fragments", "why"),
    [
        ([fragment(0, 16, more=True), fragment(1, 16, more=False)], "overlaps another one (RFC 5722)"),
        ([fragment(1, 16, more=True), fragment(0, 16, more=True)], "overlaps another one (RFC 5722)"),
        ([fragment(0, 15, more=True)], "not a multiple of 8"),
        ([fragment(0, 16, more=True), fragment(0, 16, more=True)], "duplicate"),
        ([fragment(2, 0, more=False)], "no data"),
        ([fragment(0, 65528, more=True), fragment(8191, 8, more=False)], "longer than 65535"),
    ],
)
def test_fragments_that_make_no_packet(fragments: list[Packet], why: str) -> None:
    lost, complete = lost_and_found(*fragments)
    assert not complete
    assert why in lost[-1]


def test_the_longest_packet() -> None:
    """Its own header is not counted; the length that the header counts is at most 65535."""
    assert lost_and_found(fragment(0, 65528, more=True), fragment(8191, 7, more=False)) == ([], 1)


# ---- schedulers, ftp, synchronisation ----


@pytest.mark.parametrize("scheduler", ["sh", "dh", "mh", "rr", "wlc"])
def test_every_scheduler_serves_ipv6(scheduler: str) -> None:
    director = Director()
    director.apply([AddService(KEY, scheduler)], 0)
    director.apply([AddServer(KEY, Endpoint(address, 80)) for address in (RS1, RS2)], 0)
    chosen = [forwarded(director.decide(tcp(client(port), WEB), 1)).next_hop for port in range(8)]
    assert len(set(chosen)) == (2 if scheduler in ("rr", "wlc") else 1)


def test_ftp_data_connections_are_let_in() -> None:
    director = published(servers=(RS1,))
    for flags in (SYN, ACK):
        forwarded(director.decide(tcp(client(), FTP, flags), 1))
        forwarded(director.decide(tcp(Endpoint(RS1, 21), client(), SYN | ACK), 1))
    line = b"EPRT |2|2001:db8:1:0:0:0:0:65|40001|\r\n"
    forwarded(director.decide(tcp(client(), FTP, ACK, payload=line, sequence=1), 2))
    active = forwarded(director.decide(tcp(Endpoint(RS1, 20), client(40001), SYN), 3))
    assert active.source == Endpoint(VIP, 20)
    reply = b"229 Extended passive (|||50000|)\r\n"
    sent = forwarded(director.decide(tcp(Endpoint(RS1, 21), client(), ACK, payload=reply, sequence=1), 4))
    assert sent.payload is None  # an address is not in it
    passive = forwarded(director.decide(tcp(client(40002), Endpoint(VIP, 50000)), 5))
    assert passive.destination == Endpoint(RS1, 50000)


def test_ftp_of_another_family_is_not_followed() -> None:
    director = published(servers=(RS1,))
    for flags in (SYN, ACK):
        forwarded(director.decide(tcp(client(), FTP, flags), 1))
    lines = b"EPRT |1|198.51.100.1|40001|\r\nPORT 198,51,100,1,156,65\r\n"
    forwarded(director.decide(tcp(client(), FTP, ACK, payload=lines, sequence=1), 2))
    assert director.connections.expectations == 0
    assert len(director.connections) == 1


def test_another_director_is_told_in_version_1_only() -> None:
    announced: list[SyncRecord] = []
    master, backup = published(servers=(RS1,)), published(servers=(RS1,))
    master.set_sender(lambda record, _now: announced.append(record))
    for flags in (SYN, ACK, ACK, ACK):
        forwarded(master.decide(tcp(client(), WEB, flags), 1))
    (record,) = announced
    assert (record.family, record.client, record.server) == (IPV6, client(), Endpoint(RS1, 80))
    assert backup.receive(record, 1)
    assert forwarded(backup.decide(tcp(client(), WEB, ACK), 2)).destination == Endpoint(RS1, 80)
    announced.clear()
    master.apply([SetSysctl("sync_version", 0)], 2)
    for _ in range(120):
        forwarded(master.decide(tcp(client(), WEB, ACK), 3))
    assert announced == []


def test_no_mixed_families_with_another_director() -> None:
    director = Director(method=Method.TUN)
    old = Endpoint("172.16.0.2", 80)
    director.apply([AddService(KEY)], 0)
    director.be_backup(backup=True)
    with pytest.raises(BadValue, match="while a synchronisation daemon runs"):
        director.apply([AddServer(KEY, old)], 1)
    director.be_backup(backup=False)
    director.apply([AddServer(KEY, old)], 2)
    assert director.rules.mixed() == "172.16.0.2:80 of TCP [2001:db8::80]:80"
