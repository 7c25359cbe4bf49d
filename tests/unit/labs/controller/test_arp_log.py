"""Frames are parsed or refused, and the ARP log keeps the newest entries."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.controller.arp_log import Arp, ArpLog, is_group, parse_arp, parse_frame

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
