"""Frames are parsed or refused, and the ARP log keeps the newest entries."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.controller.arp_log import (
    Arp,
    ArpLog,
    is_group,
    parse_arp,
    parse_frame,
    parse_neighbour_discovery,
)

CLIENT, SERVER = bytes.fromhex("0200c6336465"), bytes.fromhex("0200cb00710b")
HEADER = b"\xff" * 6 + CLIENT + b"\x08\x06"


def arp(operation: int = 1, kind: tuple[int, int, int, int] = (1, 0x0800, 6, 4)) -> bytes:
    addresses = CLIENT, bytes([198, 51, 100, 101]), bytes(6), bytes([203, 0, 113, 1])
    return HEADER + struct.pack("!HHBBH6s4s6s4s", *kind, operation, *addresses)


def test_an_arp_packet_is_parsed() -> None:
    assert parse_arp(arp()) == Arp("request", "02:00:c6:33:64:65", "198.51.100.101", "203.0.113.1")


@pytest.mark.parametrize(("number", "name"), [(1, "request"), (2, "reply"), (9, "9")])
def test_operations_have_names(number: int, name: str) -> None:
    packet = parse_arp(arp(number))
    assert packet is not None
    assert packet.operation == name


def test_padding_of_a_short_frame_is_ignored() -> None:
    assert parse_arp(arp() + bytes(18)) == parse_arp(arp())


@pytest.mark.parametrize("length", [0, 13, 14, 41])
def test_a_truncated_packet_is_not_parsed(length: int) -> None:
    assert parse_arp(arp()[:length]) is None


@pytest.mark.parametrize(
    "kind", [(6, 0x0800, 6, 4), (1, 0x86DD, 6, 4), (1, 0x0800, 8, 4), (1, 0x0800, 6, 16)]
)
def test_arp_for_other_address_types_is_not_parsed(kind: tuple[int, int, int, int]) -> None:
    assert parse_arp(arp(kind=kind)) is None


def test_ip_is_not_parsed_as_arp() -> None:
    assert parse_arp(CLIENT + SERVER + b"\x08\x00" + bytes(60)) is None


# ---- neighbour discovery ----

VIP, RIP, ROUTER = "2001:db8::1", "2001:db8::11", "2001:db8::254"


def discovery(kind: int, target: str, source: str, dest: str, *options: bytes, **wrong: int) -> bytes:
    """The frame of a message, as the kernel sends it; `wrong` may be the hop limit `hops` or `flags`."""
    flags = wrong.get("flags", 0)
    body = struct.pack("!BBHB3x16s", kind, 0, 0, flags, IPv6Address(target).packed) + b"".join(options)
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, wrong.get("hops", 255))
    ends = IPv6Address(source).packed + IPv6Address(dest).packed
    return SERVER + CLIENT + b"\x86\xdd" + header + ends + body


def link(kind: int, mac: bytes = SERVER) -> bytes:
    return bytes([kind, 1]) + mac


def test_a_solicitation_is_a_request() -> None:
    claim = parse_neighbour_discovery(discovery(135, VIP, ROUTER, "ff02::1:ff00:1", link(1)))
    assert claim == Arp("request", SERVER.hex(":"), ROUTER, VIP)


def test_an_advertisement_is_a_reply_of_its_target() -> None:
    """Whatever the source of the packet: a link-local address, or another one of the same host."""
    nonce = b"\x0e\x01" + bytes(6)
    frame = discovery(136, VIP, "fe80::1", ROUTER, nonce, link(2), flags=0xE0)
    assert parse_neighbour_discovery(frame) == Arp("reply", SERVER.hex(":"), VIP, ROUTER, "RSO")


def test_without_a_link_layer_address_the_frame_s_counts() -> None:
    for kind, name in ((135, "request"), (136, "reply")):
        claim = parse_neighbour_discovery(discovery(kind, VIP, RIP, ROUTER, link(3)))
        assert claim is not None
        assert (claim.operation, claim.sender_mac) == (name, CLIENT.hex(":"))


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(discovery(133, VIP, RIP, ROUTER), id="a router solicitation"),
        pytest.param(discovery(128, VIP, RIP, ROUTER), id="a ping"),
        pytest.param(discovery(136, VIP, RIP, ROUTER, hops=254), id="from another network"),
        pytest.param(discovery(136, VIP, RIP, ROUTER)[:77], id="truncated"),
        pytest.param(arp(), id="ARP"),
    ],
)
def test_anything_else_is_no_neighbour_discovery(frame: bytes) -> None:
    assert parse_neighbour_discovery(frame) is None


@given(st.binary(max_size=40))
def test_no_options_raise(options: bytes) -> None:
    parse_neighbour_discovery(discovery(136, VIP, RIP, ROUTER, options))


def test_frame_has_its_three_fields() -> None:
    frame = parse_frame(SERVER + CLIENT + b"\x08\x00rest")
    assert frame is not None
    assert (frame.dest, frame.source, frame.ethertype) == ("02:00:cb:00:71:0b", "02:00:c6:33:64:65", 0x0800)


@pytest.mark.parametrize(
    ("mac", "group"), [("ff:ff:ff:ff:ff:ff", True), ("01:00:5e:00:00:01", True), ("02:00:00:00:00:01", False)]
)
def test_group_addresses(mac: str, group: bool) -> None:
    assert is_group(mac) is group


@given(st.binary(max_size=80))
def test_no_input_raises(data: bytes) -> None:
    parse_frame(data)
    parse_arp(HEADER + data)


CLAIM = Arp("reply", "02:00:cb:00:71:02", "203.0.113.1", "198.51.100.101")


def filled(count: int, largest: int = 100) -> ArpLog:
    log = ArpLog(largest)
    for at in range(count):
        log.add(float(at), 1, 7, CLAIM.sender_mac, CLAIM)
    return log


def serials(log: ArpLog, since: int = 0) -> list[int]:
    return [entry.serial for entry in log.since(since)]


def test_entries_are_numbered_from_one() -> None:
    assert serials(filled(3)) == [1, 2, 3]


def test_an_entry_has_port_and_time() -> None:
    (entry,) = filled(1).since()
    assert (entry.at, entry.dpid, entry.port, entry.frame_source, entry.arp) == (
        0,
        1,
        7,
        CLAIM.sender_mac,
        CLAIM,
    )


def test_since_returns_later_entries_only() -> None:
    assert serials(filled(5), since=3) == [4, 5]
    assert serials(filled(5), since=5) == []


def test_the_oldest_entries_are_dropped() -> None:
    assert serials(filled(5, largest=2)) == [4, 5]


def test_serials_continue_after_forgetting() -> None:
    log = filled(3)
    assert log.forget() == 3
    assert serials(log) == []
    log.add(9, 1, 7, CLAIM.sender_mac, CLAIM)
    assert serials(log, since=3) == [4]
