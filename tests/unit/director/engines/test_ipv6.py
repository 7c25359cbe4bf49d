"""IPv6 through the engine: what comes in as bytes and what goes out, with Scapy as the judge."""

from __future__ import annotations

import os
import random
from itertools import pairwise
from typing import Any

import pytest
from scapy.config import conf
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Jumbo,
    PadN,
)
from scapy.layers.l2 import Ether
from scapy.utils import checksum

from director.core.commands import AddServer, AddService, ServiceKey, SetSysctl
from director.core.director import Director
from director.core.packet import Endpoint
from director.core.real_server import Method
from director.engines.scapy import ipv6, offload
from director.engines.scapy.datagram import Datagram, parse
from director.engines.scapy.fake import FakeHost, FakeKernel
from director.engines.scapy.host import Route
from director.engines.scapy.ipv6 import Malformed
from oracle import ipv6_packets
from tests.labs.malformed import malformed
from tests.unit.director.engines.support import GATEWAY_MAC, INTERFACE, MAC, fake_wire, framed

CLIENT, VIP, SERVER = "2001:db8:1::65", "2001:db8::80", "fd00::2"
OWN, GATEWAY = "2001:db8::1", "2001:db8::fe"
OLD_VIP, OLD_CLIENT, OLD_SERVER, OLD_OWN = "203.0.113.1", "198.51.100.101", "172.16.0.2", "203.0.113.2"
FRAMES = int(os.environ.get("LVS_FUZZ", "18000")) // 6


@pytest.fixture(autouse=True)
def scapy_computes_checksums_of_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """The director's process turns that off, as it takes long to import."""
    monkeypatch.setattr(conf, "ipv6_enabled", True)


def _by_gateway(destination: str) -> Route:
    if ":" in destination:
        return Route(INTERFACE, OWN, GATEWAY)
    return Route(INTERFACE, OLD_OWN, "203.0.113.254")


class Running:
    """An engine with a service for ports 80 and 21 of TCP and 80 of UDP, of either family."""

    def __init__(self, method: Method, server: str = SERVER, vip: str = VIP) -> None:
        self.wire, self.kernel = fake_wire(), FakeKernel()
        self.host = FakeHost([self.wire], _by_gateway, self.kernel)
        self.engine = self.host.engine
        self.director = Director(method=method, mtu_of=self.engine.mtu_of)
        self.host.start(self.director)
        for protocol, port in ((6, 80), (6, 21), (17, 80)):
            key = ServiceKey(protocol, Endpoint(vip, port))
            added = AddServer(key, Endpoint(server, 8000 if method is Method.NAT and port == 80 else port))
            self.director.apply([AddService(key), added], 1.0)
        self.engine.install_rules()
        for address in (GATEWAY, "203.0.113.254"):
            hop = self.engine.routes.lookup(CLIENT if ":" in address else OLD_CLIENT)
            assert hop is not None
            self.host.neighbours.add_permanent(hop, GATEWAY_MAC)

    def receive(self, packet: Any) -> list[Any]:
        """What goes out, each taken apart by Scapy."""
        frame = packet if isinstance(packet, bytes) else framed(packet)
        return [Ether(sent) for _, sent in self.host.receive(INTERFACE, frame)]

    def forwarded(self, packet: Any) -> Any:
        (frame,) = self.receive(packet)
        assert (frame.src, frame.dst) == (MAC, GATEWAY_MAC)
        assert frame.type == (0x0800 if frame.payload.version == 4 else 0x86DD)
        return frame.payload


def request(flags: str = "S", data: bytes = b"", **more: Any) -> Any:
    return IPv6(src=CLIENT, dst=VIP, tc=0x2A, fl=0x12345, **more) / TCP(sport=1025, flags=flags) / data


def checksums_are_right(packet: Any) -> bool:
    """Whether Scapy would compute the same checksums."""
    anew = packet.copy()
    for layer in (TCP, UDP, ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded):
        if layer in anew:
            field = "cksum" if layer not in (TCP, UDP) else "chksum"
            delattr(anew[layer], field)
            return bytes(type(packet)(bytes(anew))) == bytes(packet)
    raise AssertionError("nothing with a checksum")


# ---- methods ----


@pytest.mark.parametrize("data", [b"", b"odd", b"even"])
def test_nat_there_and_back(data: bytes) -> None:
    running = Running(Method.NAT)
    there = running.forwarded(request(data=data))
    assert (there.src, there.dst, there[TCP].dport) == (CLIENT, SERVER, 8000)
    assert (there.hlim, there.tc, there.fl, there.plen) == (63, 0x2A, 0x12345, 20 + len(data))
    assert checksums_are_right(there)
    back = running.forwarded(IPv6(src=SERVER, dst=CLIENT) / TCP(sport=8000, dport=1025, flags="SA") / data)
    assert (back.src, back.dst, back[TCP].sport, back.hlim) == (VIP, CLIENT, 80, 63)
    assert checksums_are_right(back)


def test_udp_keeps_a_right_checksum() -> None:
    there = Running(Method.NAT).forwarded(IPv6(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80) / b"abc")
    assert there[UDP].dport == 8000
    assert checksums_are_right(there)


def test_a_damaged_packet_stays_damaged() -> None:
    packet = IPv6(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80, chksum=0x1234) / b"abc"
    assert not checksums_are_right(Running(Method.NAT).forwarded(packet))


def test_dr_changes_only_the_hop_limit() -> None:
    packet = request()
    there = Running(Method.DR).forwarded(packet)
    expected = IPv6(bytes(packet))
    expected.hlim = 63
    assert bytes(there) == bytes(expected)


@pytest.mark.parametrize(
    ("vip", "server"), [(VIP, SERVER), (VIP, OLD_SERVER), (OLD_VIP, SERVER)], ids=["6in6", "6in4", "4in6"]
)
def test_tunnels_of_both_families(vip: str, server: str) -> None:
    running = Running(Method.TUN, server, vip)
    packet = (
        request() if vip == VIP else IP(src=OLD_CLIENT, dst=vip, tos=0x2A, id=9) / TCP(sport=1, flags="S")
    )
    outer = running.forwarded(packet)
    inner = outer.payload
    assert bytes(inner)[8:] == bytes(type(inner)(bytes(packet)))[8:] or vip == OLD_VIP
    if server == SERVER:
        assert isinstance(outer, IPv6)
        assert (outer.src, outer.dst, outer.nh) == (OWN, SERVER, 41 if vip == VIP else 4)
        assert (outer.tc, outer.fl, outer.hlim, outer.plen) == (0x2A, 0, 63, len(bytes(inner)))
    else:
        assert isinstance(outer, IP)
        assert (outer.src, outer.dst, outer.proto, outer.flags) == (OLD_OWN, server, 41, 0)
        assert (outer.tos, outer.ttl, outer.len) == (0x2A, 63, 20 + len(bytes(inner)))
        assert checksum(bytes(outer)[:20]) == 0


def test_the_neighbour_is_asked_and_packets_wait() -> None:
    running = Running(Method.DR)
    running.host.neighbours.flush(running.wire)
    (asked,) = running.receive(request())
    assert (asked.dst, asked.type, asked[IPv6].dst) == ("33:33:ff:00:00:fe", 0x86DD, "ff02::1:ff00:fe")
    assert (asked[IPv6].hlim, asked[IPv6].src, asked[ICMPv6ND_NS].tgt) == (255, OWN, GATEWAY)
    assert asked[ICMPv6NDOptSrcLLAddr].lladdr == MAC
    anew = IPv6(bytes(asked[IPv6]))
    del anew[ICMPv6ND_NS].cksum
    assert bytes(anew) == bytes(asked[IPv6])
    for ignored in (advertisement(hlim=64), advertisement(mac="33:33:00:00:00:01"), advertisement(cksum=1)):
        assert running.receive(ignored) == []
    (sent,) = running.receive(advertisement())
    assert sent.dst == GATEWAY_MAC


def test_an_unsolicited_advertisement_moves_an_address() -> None:
    running = Running(Method.DR)
    moved = framed(advertisement(mac="02:00:00:00:00:77", dst="ff02::1"), "33:33:00:00:00:01")
    assert running.receive(moved) == []
    (sent,) = running.receive(request())
    assert sent.dst == "02:00:00:00:00:77"


def advertisement(hlim: int = 255, mac: str = GATEWAY_MAC, dst: str = OWN, cksum: int | None = None) -> Any:
    message = ICMPv6ND_NA(tgt=GATEWAY, R=1, S=1, O=1, cksum=cksum)
    return IPv6(src=GATEWAY, dst=dst, hlim=hlim) / message / ICMPv6NDOptDstLLAddr(lladdr=mac)


# ---- ICMPv6 ----


@pytest.mark.parametrize("method", [Method.NAT, Method.DR, Method.TUN])
def test_packet_too_big_quotes_as_much_as_fits(method: Method) -> None:
    (frame,) = Running(method).receive(request(data=bytes(1460)))
    received = frame.payload
    room = 1500 - (40 if method is Method.TUN else 0)
    assert (received.src, received.dst, received[ICMPv6PacketTooBig].mtu) == (VIP, CLIENT, room)
    assert received.plen + 40 == 1280
    assert checksums_are_right(received)


def test_a_hop_limit_that_has_expired() -> None:
    (frame,) = Running(Method.NAT).receive(request(hlim=1))
    assert frame[ICMPv6TimeExceeded].code == 0
    assert checksums_are_right(frame.payload)


def test_an_error_about_a_request_is_rewritten_for_the_client() -> None:
    running = Running(Method.NAT)
    there = running.forwarded(request(data=b"data"))
    received = running.forwarded(IPv6(src=SERVER, dst=CLIENT) / ICMPv6DestUnreach(code=3) / there)
    quoted = received[ICMPv6DestUnreach].payload
    assert (received.src, received.dst) == (VIP, CLIENT)
    assert (quoted.src, quoted.dst, quoted.payload.sport, quoted.payload.dport) == (CLIENT, VIP, 1025, 80)
    assert checksums_are_right(received)


def test_an_error_about_a_reply_reaches_the_server() -> None:
    running = Running(Method.NAT)
    running.forwarded(request())
    back = running.forwarded(IPv6(src=SERVER, dst=CLIENT) / TCP(sport=8000, dport=1025, flags="SA"))
    received = running.forwarded(IPv6(src=CLIENT, dst=VIP) / ICMPv6PacketTooBig(mtu=1300) / back)
    quoted = received[ICMPv6PacketTooBig].payload
    assert (received.dst, quoted.src, quoted.payload.sport) == (SERVER, SERVER, 8000)
    assert checksums_are_right(received)


@pytest.mark.parametrize("old", [False, True], ids=["IPv6", "IPv4"])
def test_a_damaged_error_is_dropped(old: bool) -> None:
    """It could have been about another connection. The kernel drops it, too."""
    if old:
        running = Running(Method.NAT, OLD_SERVER, OLD_VIP)
        ip, client, vip, error = IP, OLD_CLIENT, OLD_VIP, ICMP(type=3, code=1)
    else:
        running = Running(Method.NAT)
        ip, client, vip, error = IPv6, CLIENT, VIP, ICMPv6DestUnreach(code=1)
    running.forwarded(ip(src=client, dst=vip) / TCP(sport=1025, dport=80, flags="S"))
    reply = ip(src=vip, dst=client) / TCP(sport=80, dport=1025, flags="A")
    packet = bytearray(bytes(ip(src=client, dst=vip) / error / bytes(reply)))
    running.forwarded(ip(bytes(packet)))
    packet[-1] ^= 1
    dropped = running.engine.counters()["dropped"]
    assert not running.receive(ip(bytes(packet)))
    assert running.engine.counters()["dropped"] == dropped + 1


def test_an_error_about_an_error_goes_nowhere() -> None:
    running = Running(Method.NAT)
    there = running.forwarded(request())
    first = IPv6(src=SERVER, dst=CLIENT) / ICMPv6DestUnreach() / there
    assert running.receive(IPv6(src=CLIENT, dst=VIP) / ICMPv6DestUnreach() / first) == []
    assert running.engine.counters()["failed"] == 0


def test_a_router_in_a_tunnel_reports_the_mtu() -> None:
    running = Running(Method.TUN)
    outer = running.forwarded(request(data=bytes(1400)))
    about = IPv6(src="fd00::99", dst=OWN) / ICMPv6PacketTooBig(mtu=1400) / bytes(outer)[:1200]
    (frame,) = running.receive(about)
    assert (frame[IPv6].dst, frame[ICMPv6PacketTooBig].mtu) == (CLIENT, 1360)
    (frame,) = running.receive(request("A", bytes(1400)))  # the path is remembered
    assert frame[ICMPv6PacketTooBig].mtu == 1360


# ---- extension headers and fragments ----


def _chain(count: int) -> Any:
    packet = IPv6(src=CLIENT, dst=VIP)
    for _ in range(count):
        packet /= IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    return packet / TCP(sport=1025, flags="S")


@pytest.mark.parametrize(
    "packet",
    [
        _chain(1),
        _chain(ipv6.MAX_EXTENSIONS),
        IPv6(src=CLIENT, dst=VIP) / IPv6ExtHdrHopByHop() / TCP(sport=1025, flags="S"),
        IPv6(src=CLIENT, dst=VIP)
        / IPv6ExtHdrRouting(addresses=["2001:db8::5"], segleft=0)
        / TCP(sport=1025, flags="S"),
    ],
)
def test_extension_headers_are_walked(packet: Any) -> None:
    there = Running(Method.NAT).forwarded(packet)
    assert (there.dst, there[TCP].dport) == (SERVER, 8000)
    assert len(bytes(there)) == len(bytes(packet))


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (_chain(ipv6.MAX_EXTENSIONS + 1), "more than 8 extension headers"),  # differs: long-chains
        (IPv6(src=CLIENT, dst=VIP, plen=100) / b"", "an impossible length"),
        (IPv6(src=CLIENT, dst=VIP, nh=60) / (b"\x06\xff" + bytes(30)), "longer than its packet"),
        (IPv6(src=CLIENT, dst=VIP, nh=60) / b"\x06", "a truncated extension header"),
        (
            IPv6(src=CLIENT, dst=VIP, plen=0)
            / IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=70000)])
            / bytes(99),
            "a jumbogram",
        ),
        (
            IPv6(src=CLIENT, dst=VIP)
            / IPv6ExtHdrFragment()
            / IPv6ExtHdrFragment()
            / TCP(sport=1025, flags="S"),
            "two fragment headers",
        ),
        (IPv6(src=CLIENT, dst=VIP, nh=6) / bytes(19), "a truncated header"),
        (IPv6(src=CLIENT, dst=VIP) / UDP(len=7), "an impossible UDP length"),
        (b"\x60" * 39, "no IP header"),
    ],
)
def test_malformed_packets(packet: Any, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        Datagram(bytes(packet))


def _fragments(size: int = 3000, step: int = 1232) -> list[Any]:
    whole = bytes(IPv6(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80) / bytes(size))[40:]
    return [
        IPv6(src=CLIENT, dst=VIP)
        / IPv6ExtHdrFragment(nh=17, offset=at // 8, m=at + step < len(whole), id=77)
        / whole[at : at + step]
        for at in range(0, len(whole), step)
    ]


@pytest.mark.parametrize("method", [Method.NAT, Method.DR, Method.TUN])
def test_fragments_are_forwarded_as_fragments(method: Method) -> None:
    running = Running(method)
    *first, last = reversed(_fragments())
    for fragment in first:
        assert running.receive(fragment) == []
    frames = running.receive(last)
    assert all(len(bytes(frame.payload)) <= 1280 for frame in frames)
    assert {frame[IPv6ExtHdrFragment].id for frame in frames} == {77}
    whole = ipv6.reassembled([bytes(frame.payload) for frame in frames])
    packet = IPv6(whole)
    if method is Method.TUN:
        assert (packet.dst, packet.nh) == (SERVER, 41)
        packet = packet.payload
    else:
        assert packet.dst == (SERVER if method is Method.NAT else VIP)
    assert len(packet[UDP].payload) == 3000
    assert checksums_are_right(packet)


def test_an_only_fragment_is_a_packet() -> None:
    packet = IPv6(src=CLIENT, dst=VIP) / IPv6ExtHdrFragment(id=5) / TCP(sport=1025, flags="S")
    there = Running(Method.NAT).forwarded(packet)
    assert (there.nh, there.plen, there.dst) == (6, 20, SERVER)
    assert checksums_are_right(there)


def test_an_only_fragment_loses_its_header_in_a_tunnel() -> None:  # differs: atomic-fragments
    packet = IPv6(src=CLIENT, dst=VIP) / IPv6ExtHdrFragment(id=5) / TCP(sport=1025, flags="S")
    outer = Running(Method.TUN).forwarded(packet)
    assert (outer.dst, outer.nh) == (SERVER, 41)
    assert (outer.payload.nh, outer.payload.plen, outer.payload.dst) == (6, 20, VIP)


def test_fragments_that_never_complete_are_answered() -> None:
    running = Running(Method.NAT)
    running.receive(_fragments()[0])
    running.host.wait(40)
    (received,) = [IPv6(sent[14:]) for sent in running.wire.sent]
    assert (received[ICMPv6TimeExceeded].code, received.dst) == (1, CLIENT)


@pytest.mark.parametrize("mtu", [1280, 1300, 1500])
def test_headers_that_routers_read_are_in_every_fragment(mtu: int) -> None:
    packet = bytes(
        IPv6(src=CLIENT, dst=VIP)
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrRouting(addresses=["2001:db8::5"])
        / IPv6ExtHdrDestOpt()
        / UDP(sport=9, dport=80)
        / random.Random(mtu).randbytes(4000)
    )
    fragments = ipv6.fragmented(packet, mtu, 9)
    assert all(len(fragment) <= mtu for fragment in fragments)
    assert all(IPv6ExtHdrRouting in IPv6(fragment) for fragment in fragments)
    assert ipv6.reassembled(fragments) == packet
    assert [parse(Datagram(fragment)).identification for fragment in fragments] == [9] * len(fragments)
    assert ipv6.fragmented(packet, 90, 9) == ()


@pytest.mark.parametrize("method", [Method.NAT, Method.TUN])
@pytest.mark.parametrize("cuts", [(16,), (1200,), (104, 208), (504, 1008)])
def test_fragments_are_cut_where_they_were(method: Method, cuts: tuple[int, ...]) -> None:
    """As in the kernel, if the outer header leaves room for that (oracle/ipv6_frames.py)."""
    whole = bytes(IPv6(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80) / bytes(1400))
    ends = [0, *cuts, len(whole) - 40]
    packets = [ipv6_packets.fragment(whole, *pair) for pair in pairwise(ends)]
    running = Running(method)
    running.forwarded(IPv6(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80))
    sent = [frame for packet in packets for frame in running.receive(IPv6(packet))]
    sizes = [frame[IPv6].plen - 8 for frame in sent]
    arrived = [end - start for start, end in pairwise(ends)]
    most = max(1232, *arrived)  # 1280 bytes with both headers
    if method is Method.TUN:
        arrived[0] += 40
    assert sizes == (arrived if max(arrived) <= most else [most, sum(arrived) - most])


# ---- what kernels leave to a network card ----


def test_merged_segments_are_taken_apart() -> None:
    data = random.Random(6).randbytes(3000)
    frame = framed(IPv6(src=CLIENT, dst=VIP) / TCP(sport=1025, dport=80, seq=7, flags="PA") / data)
    frames = offload.finished(offload.HEADER.pack(1, 4, 74, 1400, 54, 16) + frame)
    packets = [Ether(frame)[IPv6] for frame in frames]
    assert [len(packet[TCP].payload) for packet in packets] == [1400, 1400, 200]
    assert [packet[TCP].seq for packet in packets] == [7, 1407, 2807]
    assert [str(packet[TCP].flags) for packet in packets] == ["A", "A", "PA"]
    assert all(map(checksums_are_right, packets))
    assert b"".join(bytes(packet[TCP].payload) for packet in packets) == data


# ---- whatever comes ----


def _samples() -> list[bytes]:
    quoted = bytes(IPv6(src=CLIENT, dst=SERVER) / TCP(sport=1025, dport=8000))
    nested = bytes(IPv6(src=VIP, dst=CLIENT) / ICMPv6DestUnreach() / quoted)
    tunnelled = bytes(IPv6(src=OWN, dst=SERVER, nh=41) / quoted)
    packets: list[Any] = [
        request(),
        request("A", b"EPRT |2|2001:db8:1::65|40000|\r\n"),
        IPv6(src=CLIENT, dst=VIP) / TCP(sport=1026, dport=21, flags="S"),
        IPv6(src=SERVER, dst=CLIENT) / TCP(sport=8000, dport=1025, flags="SA"),
        IPv6(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80) / b"abc",
        _chain(2),
        _chain(ipv6.MAX_EXTENSIONS),
        *_fragments(),
        *_fragments(100, 40),
        IPv6(src=CLIENT, dst=VIP) / IPv6ExtHdrFragment(nh=60, m=1, id=3) / bytes(24),
        IPv6(src=CLIENT, dst=VIP, plen=0) / IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=70000)]) / bytes(40),
        IPv6(src=SERVER, dst=CLIENT) / ICMPv6DestUnreach() / quoted,
        IPv6(src=CLIENT, dst=VIP) / ICMPv6PacketTooBig(mtu=500) / nested,
        IPv6(src="fd00::9", dst=OWN) / ICMPv6PacketTooBig(mtu=1400) / tunnelled,
        IPv6(src=CLIENT, dst=VIP) / ICMPv6EchoRequest(),
        advertisement(),
        IPv6(src=GATEWAY, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=OWN) / ICMPv6NDOptSrcLLAddr(),
    ]
    return [framed(packet) for packet in packets]


@pytest.mark.parametrize("method", [Method.NAT, Method.DR, Method.TUN])
def test_malformed_frames_do_not_stop_the_engine(method: Method) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # pytest shows it when this fails
    chance, running = random.Random(seed), Running(method)
    running.director.apply([SetSysctl("nat_icmp_send", 1)], 1)
    steady = IPv6(src="2001:db8:1::77", dst=VIP) / TCP(sport=1025, flags="A")  # has to survive all of them
    running.receive(IPv6(src="2001:db8:1::77", dst=VIP) / TCP(sport=1025, flags="S"))
    running.receive(IPv6(src=SERVER, dst="2001:db8:1::77") / TCP(sport=8000, dport=1025, flags="SA"))
    running.forwarded(steady)
    samples = _samples()
    for frame in samples:
        running.receive(frame)
    for number in range(FRAMES):
        frame = malformed(chance.choice(samples), chance)
        running.host.receive(INTERFACE, frame)
        running.engine._is_known(frame)
        if number % 500 == 0:
            running.host.forget()
            running.host.wait(1, 1)
            assert len(running.receive(steady)) == 1
    counted = running.engine.counters()
    assert counted["failed"] == 0
    assert min(counted["malformed"], counted["out"]) > 10
    (kept,) = running.receive(steady)
    assert kept[TCP].sport == 1025
