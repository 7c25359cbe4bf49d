"""What each forwarding method makes of a packet, to the last checksum.

The expected packet is built by Scapy from scratch: every byte has to be equal.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror, in4_chksum
from scapy.layers.l2 import Ether
from scapy.utils import checksum

from director.core.commands import DeleteServer, ServiceKey
from director.core.decision import Forward
from director.core.packet import Endpoint
from director.core.real_server import Method
from director.engines.scapy import rewrite
from director.engines.scapy.datagram import Datagram
from director.engines.scapy.ipv6 import Malformed
from tests.unit.director.engines.support import CLIENT, GATEWAY_MAC, MAC, OWN, SERVER, VIP, Running

GET = b"GET /index.html HTTP/1.0\r\n\r\n"
OPTIONS = [("NOP", None), ("NOP", None), ("Timestamp", (7, 8))]
_PORTS = st.integers(0, 65535)


def request(flags: str = "PA", data: bytes = GET, **ip: Any) -> Any:
    tcp = TCP(sport=3456, dport=80, flags=flags, seq=100, ack=200, options=OPTIONS)
    return IP(src=CLIENT, dst=VIP, id=9, flags="DF", **{"ttl": 63, **ip}) / tcp / data


def opened(running: Running) -> Running:
    running.receive(request("S", b""))
    return running


def to_server(method: Method, source: Endpoint, destination: Endpoint, **more: Any) -> Forward:
    return Forward(method, source, destination, SERVER, VIP, (), **more)


def test_nat_request(nat: Running) -> None:
    (frame,) = opened(nat).receive(request())
    expected = request(ttl=62)
    expected.dst, expected[TCP].dport = SERVER, 8000
    assert bytes(frame) == bytes(Ether(src=MAC, dst=GATEWAY_MAC) / expected)


def test_nat_reply(nat: Running) -> None:
    tcp = TCP(sport=8000, dport=3456, flags="A", seq=1, ack=2, options=OPTIONS)
    (frame,) = opened(nat).receive(IP(src=SERVER, dst=CLIENT, ttl=64) / tcp / b"<html>")
    tcp = TCP(sport=80, dport=3456, flags="A", seq=1, ack=2, options=OPTIONS)
    assert bytes(frame[IP]) == bytes(IP(src=VIP, dst=CLIENT, ttl=63) / tcp / b"<html>")


@pytest.mark.parametrize("running", [Method.TUN], indirect=True)
def test_tun_request(running: Running) -> None:
    (frame,) = opened(running).receive(request(tos=16))
    inner = request(tos=16, ttl=62)
    outer = IP(src=OWN, dst=SERVER, proto=4, id=9, flags="DF", ttl=62, tos=16)
    assert bytes(frame[IP]) == bytes(outer / inner)


@pytest.mark.parametrize("running", [Method.DR], indirect=True)
def test_dr_request(running: Running) -> None:
    (frame,) = opened(running).receive(request())
    assert bytes(frame) == bytes(Ether(src=MAC, dst=GATEWAY_MAC) / request(ttl=62))


@pytest.mark.parametrize("to", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "02:00:00:00:00:77"])
def test_frames_for_other_hosts_are_ignored(running: Running, to: str) -> None:
    assert running.receive(request("S"), to) == []
    assert running.kernel.delivered == []


def test_a_port_without_a_service_is_passed_to_the_kernel_unchanged(running: Running) -> None:
    packet = IP(src=CLIENT, dst=VIP) / TCP(sport=5, dport=81, flags="S")
    assert running.receive(packet) == []
    assert running.kernel.delivered == [bytes(packet)]


def test_packets_to_other_addresses_are_not_delivered_twice(running: Running) -> None:
    assert running.receive(IP(src=CLIENT, dst=OWN) / TCP(sport=5, dport=22, flags="S")) == []
    assert running.kernel.delivered == []


def test_the_padding_of_a_short_frame_is_removed(running: Running) -> None:
    packet = IP(src=CLIENT, dst=VIP) / TCP(sport=5, dport=80, flags="S")
    (frame,) = running.receive(bytes(Ether(dst=MAC) / packet) + bytes(6))
    assert len(bytes(frame[IP])) == 40 + 20 * (frame[IP].proto == 4)


@given(st.binary(max_size=60), st.integers(1, 65535), st.ip_addresses(v=4).map(str), st.integers(2, 255))
def test_nat_updates_checksums_as_if_computed(data: bytes, port: int, server: str, ttl: int) -> None:
    before = request(data=data, ttl=ttl)
    forward = to_server(Method.NAT, Endpoint(CLIENT, 3456), Endpoint(server, port), sequence_delta=-101)
    after = request(data=data, ttl=ttl - 1)
    after.dst, after[TCP].dport, after[TCP].seq = server, port, 2**32 - 1
    assert rewritten(before, forward) == bytes(after)


def rewritten(packet: Any, forward: Forward) -> bytes:
    return rewrite.nat(Datagram(bytes(packet)), forward, OWN)


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(-(2**31), 2**31))
def test_nat_replaces_data_of_another_length(before: bytes, after: bytes, delta: int) -> None:
    forward = to_server(
        Method.NAT,
        Endpoint(CLIENT, 3456),
        Endpoint(SERVER, 80),
        payload=after,
        acknowledgement_delta=delta,
    )
    expected = request(data=after, ttl=62)
    expected.dst, expected[TCP].ack = SERVER, (200 + delta) % 2**32
    assert rewritten(request(data=before), forward) == bytes(expected)


@pytest.mark.parametrize("method", [rewrite.nat, rewrite.dr, rewrite.tun])
def test_a_damaged_packet_stays_damaged(method: Any) -> None:
    damaged = bytearray(bytes(request()))
    damaged[-1] ^= 0x40
    forward = to_server(Method.NAT, Endpoint(CLIENT, 3456), Endpoint(SERVER, 8000))
    sent = IP(method(Datagram(bytes(damaged)), forward, OWN))
    inner = sent.payload if sent.proto == 4 else sent
    claimed = inner[TCP].chksum
    del inner[TCP].chksum
    assert IP(bytes(inner))[TCP].chksum != claimed


@pytest.mark.parametrize("data", [b"", b"abc", b"abcd"])
@pytest.mark.parametrize("claimed", [0, None])
def test_udp_without_a_checksum_gets_one(claimed: int | None, data: bytes) -> None:
    """As in the kernel, where VS-NAT has changed it."""
    packet = IP(src=CLIENT, dst=VIP, ttl=9) / UDP(sport=7, dport=80, chksum=claimed) / data
    forward = to_server(Method.NAT, Endpoint(CLIENT, 7), Endpoint(SERVER, 8000))
    after = IP(src=CLIENT, dst=SERVER, ttl=8) / UDP(sport=7, dport=8000) / data
    assert rewritten(packet, forward) == bytes(after)


@given(st.binary(max_size=30), _PORTS)
def test_a_computed_checksum_is_never_none(data: bytes, port: int) -> None:
    packet = IP(src=CLIENT, dst=VIP) / UDP(sport=7, dport=80, chksum=0) / data
    sent = rewritten(packet, to_server(Method.NAT, Endpoint(CLIENT, 7), Endpoint(SERVER, port)))
    assert IP(sent)[UDP].chksum
    assert in4_chksum(17, IP(sent[:20]), sent[20:]) == 0


@pytest.mark.parametrize("method", [rewrite.dr, rewrite.tun])
def test_unchanged_udp_stays_without_a_checksum(method: Any) -> None:
    packet = IP(src=CLIENT, dst=VIP, ttl=9) / UDP(sport=7, dport=80, chksum=0) / b"abc"
    forward = to_server(Method.DR, Endpoint(CLIENT, 7), Endpoint(VIP, 80))
    assert method(Datagram(bytes(packet)), forward, OWN)[-11:] == bytes(packet)[-11:]


# ---- ICMP errors ----


def quoting(error: Any, quoted: Any, length: int = 28) -> Any:
    return error / bytes(quoted)[:length]


def test_an_error_about_a_request_quotes_what_the_client_sent(nat: Running) -> None:
    (frame,) = opened(nat).receive(request())
    error = IP(src="172.16.0.9", dst=CLIENT, ttl=64) / ICMP(type=3, code=1)
    (frame,) = nat.receive(quoting(error, frame[IP], 60))
    about = request(ttl=62)
    assert (frame[IP].src, frame[IP].dst) == (VIP, CLIENT)
    assert (frame[IPerror].dst, frame[TCPerror].dport, frame[IPerror].chksum) == (
        VIP,
        80,
        IP(bytes(about)).chksum,
    )
    assert right_icmp_checksum(frame)


def test_an_error_about_a_reply_reaches_the_real_server(nat: Running) -> None:
    opened(nat)
    reply = IP(src=VIP, dst=CLIENT, ttl=50) / TCP(sport=80, dport=3456)
    error = IP(src="198.51.100.9", dst=VIP, ttl=64) / ICMP(type=11, code=0)
    (frame,) = nat.receive(quoting(error, reply))
    assert (frame[IP].src, frame[IP].dst) == ("198.51.100.9", SERVER)
    assert (frame[IPerror].src, frame[IPerror].dst) == (SERVER, CLIENT)
    assert bytes(frame[IPerror].payload)[:4] == (8000).to_bytes(2, "big") + (3456).to_bytes(2, "big")
    assert right_icmp_checksum(frame)


@pytest.mark.parametrize("running", [Method.TUN], indirect=True)
def test_the_path_mtu_of_a_tunnel_is_remembered(running: Running) -> None:
    tunnelled = opened(running).receive(request())[0][IP]
    error = IP(src="192.0.2.1", dst=OWN) / ICMP(type=3, code=4, nexthopmtu=1400)
    (received,) = running.receive(quoting(error, tunnelled, 56))
    assert (received[IP].src, received[IP].dst, received[ICMP].nexthopmtu) == (VIP, CLIENT, 1380)
    assert received[IPerror].src == CLIENT  # its own packet is quoted, not the tunnel's
    assert running.engine.mtu_of(SERVER) == 1400
    (frame,) = running.receive(request(data=bytes(1370)))
    assert (frame[ICMP].type, frame[ICMP].code, frame[ICMP].nexthopmtu) == (3, 4, 1380)
    may_be_cut = IP(src=CLIENT, dst=VIP) / TCP(sport=3456, dport=80, flags="PA") / bytes(1400)
    assert [frame[IP].len for frame in running.receive(may_be_cut)] == [1396, 84]


@pytest.mark.parametrize("running", [Method.TUN], indirect=True)
def test_a_forged_error_about_a_tunnel_is_ignored(running: Running) -> None:
    quoted = IP(src=OWN, dst=SERVER, proto=4, len=1500)
    error = IP(src="198.51.100.9", dst=OWN) / ICMP(type=3, code=4, nexthopmtu=68)
    assert running.receive(quoting(error, quoted / request(), 28)) == []
    assert running.engine.mtu_of(SERVER) == 1500


@pytest.mark.parametrize("running", [Method.TUN], indirect=True)
@pytest.mark.parametrize(("inside", "outside"), [(0, 0), (1, 1), (2, 2), (3, 2), (0xBB, 0xBA)])
def test_congestion_inside_a_tunnel_is_not_repeated_outside(
    running: Running, inside: int, outside: int
) -> None:
    (frame,) = opened(running).receive(request(tos=inside))
    assert (frame[IP].tos, frame[IP].payload.tos) == (outside, inside)


def right_icmp_checksum(frame: Any) -> bool:
    content = bytes(frame[ICMP])
    return bool(checksum(content[:2] + b"\0\0" + content[4:]) == frame[ICMP].chksum)


# ---- ICMP errors of the director ----


def test_a_service_without_servers_rejects_from_the_vip(running: Running) -> None:
    key = ServiceKey(6, Endpoint(VIP, 80))
    running.director.apply([DeleteServer(key, Endpoint(SERVER, 80))], 1.0)
    packet = request("S", ttl=64)
    (frame,) = running.receive(packet)
    assert (frame[IP].src, frame[IP].dst, frame[IP].ttl) == (VIP, CLIENT, 64)
    assert (frame[ICMP].type, frame[ICMP].code) == (3, 3)
    assert bytes(frame[ICMP].payload).startswith(bytes(packet)[:28])


def test_an_expired_ttl_is_reported_to_the_sender(running: Running) -> None:
    (frame,) = running.receive(request("S", ttl=1))
    assert (frame[ICMP].type, frame[ICMP].code) == (11, 0)


@pytest.mark.parametrize("source", ["0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255"])
def test_no_error_is_sent_to_an_invalid_source(running: Running, source: str) -> None:
    assert running.receive(_from(source)) == []
    assert running.engine.counters()["answered"] == 0


def _from(source: str) -> Any:
    packet = request("S", ttl=1)
    packet.src = source
    return packet


# ---- malformed packets ----


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:19],
        lambda data: b"\x75" + data[1:],
        lambda data: b"\x44" + data[1:],
        lambda data: data[:30],
        lambda data: data[:9] + b"\x07" + data[10:],  # the header's checksum is wrong now
    ],
)
def test_malformed(damage: Any) -> None:
    with pytest.raises(Malformed):
        Datagram(damage(bytes(request())))


def test_a_tcp_header_longer_than_the_packet_is_malformed() -> None:
    with pytest.raises(Malformed):
        Datagram(bytes(IP(src=CLIENT, dst=VIP) / TCP(dataofs=15)))


@pytest.mark.parametrize("length", [7, 30])
def test_an_impossible_udp_length_is_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        Datagram(bytes(IP(src=CLIENT, dst=VIP) / UDP(len=length) / b"abc"))


# ---- selective acknowledgements ----

_SYN_OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0)), ("NOP", None), ("WScale", 7)]


def syn(port: int, options: Any = None) -> Any:
    tcp = TCP(
        sport=3456, dport=port, flags="S", seq=100, options=_SYN_OPTIONS if options is None else options
    )
    return IP(src=CLIENT, dst=VIP, id=9, flags="DF", ttl=63) / tcp


def test_an_ftp_session_offers_no_selective_acknowledgements(nat: Running) -> None:
    (frame,) = nat.receive(syn(21))
    expected = syn(21, [("MSS", 1460), ("NOP", None), ("NOP", None), *_SYN_OPTIONS[2:]])
    expected.dst, expected.ttl = SERVER, 62
    assert bytes(frame[IP]) == bytes(expected)


def test_other_connections_keep_selective_acknowledgements(nat: Running) -> None:
    (frame,) = nat.receive(syn(80))
    assert ("SAckOK", b"") in frame[TCP].options


@given(options=st.binary(max_size=40))
def test_blanked_options_keep_their_length(options: bytes) -> None:
    options += b"\0" * (-len(options) % 4)
    tcp = TCP(sport=3456, dport=21, flags="S", dataofs=5 + len(options) // 4)
    datagram = Datagram(bytes(IP(src=CLIENT, dst=VIP) / tcp / options))
    datagram.blank_option(4)
    after = bytes(datagram)
    assert len(datagram.rest) == len(options)
    assert in4_chksum(6, IP(after[:20]), after[20:]) == 0


# ---- rewriting undone ----

_ADDRESSES = st.ip_addresses(v=4).map(str)


def layers(protocol: int, ports: tuple[int, int], numbers: tuple[int, int]) -> Any:
    if protocol == 17:
        return UDP(sport=ports[0], dport=ports[1])
    return TCP(sport=ports[0], dport=ports[1], seq=numbers[0], ack=numbers[1], options=OPTIONS)


@given(
    protocol=st.sampled_from([6, 17]),
    ends=st.tuples(_ADDRESSES, _ADDRESSES, _ADDRESSES),
    ports=st.tuples(_PORTS, _PORTS, _PORTS),
    numbers=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    shift=st.integers(-200, 200),
    data=st.binary(max_size=60),
)
def test_rewriting_and_its_inverse_leave_the_original(
    protocol: int,
    ends: tuple[str, str, str],
    ports: tuple[int, int, int],
    numbers: tuple[int, int],
    shift: int,
    data: bytes,
) -> None:
    """Only the TTL shows that the packet was rewritten twice."""
    above = layers(protocol, ports[:2], numbers)
    original = bytes(IP(src=ends[0], dst=ends[1], ttl=64, id=7) / above / data)
    source, vip, rip = Endpoint(ends[0], ports[0]), Endpoint(ends[1], ports[1]), Endpoint(ends[2], ports[2])
    there = rewrite.nat(Datagram(original), to_server(Method.NAT, source, rip, sequence_delta=shift), OWN)
    back = rewrite.nat(Datagram(there), to_server(Method.NAT, source, vip, sequence_delta=-shift), OWN)
    expected = IP(original)
    expected.ttl = 62
    del expected.chksum
    assert IP(back)[IP].fields == IP(bytes(expected))[IP].fields
    assert back[20:] == original[20:]
