"""Advertisements byte for byte, and what is refused: anyone on the network may send them."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from socket import AF_INET6, inet_pton

import pytest

from availability import vip
from availability.vrrp import advertisements
from availability.vrrp.advertisements import Malformed
from availability.vrrp.router import Advertisement, Settings
from tests.conftest import LONG

V2 = Settings("a", "eth0", 51, addresses=("203.0.113.1", "203.0.113.7"))
V3 = replace(V2, version=3, interval=0.2)
SECRET = replace(V2, password="secret99")
V6 = replace(V3, addresses=("fe80::51", "2001:db8::1"), group="ff02::12")
SOURCE, SOURCE6 = "203.0.113.2", "fe80::2"


def source_of(settings: Settings) -> str:
    return SOURCE6 if settings.is_ipv6 else SOURCE


def packet(settings: Settings, payload: bytes | None = None, ttl: int = 255) -> bytes:
    """An IP packet as a raw socket delivers it, or as sockets.py completes it."""
    if payload is None:
        payload = advertisements.advertisement(settings, source_of(settings), 150)
    if settings.is_ipv6:
        ends = (inet_pton(AF_INET6, address) for address in (SOURCE6, settings.group))
        return struct.pack("!IHBB", 6 << 28, len(payload), 112, ttl) + b"".join(ends) + payload
    addresses = bytes((203, 0, 113, 2, 224, 0, 0, 18))
    return struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(payload), 1, 0, ttl, 112, 0) + addresses + payload


def test_the_bytes_are_those_that_keepalived_sends() -> None:
    """Captured from keepalived 2.2.7: router id 51, priority 150, addresses .1 and .7."""
    assert advertisements.advertisement(V2, SOURCE, 150).hex() == (
        "213396020001" + "XXXX" + "cb007101cb007107" + "0000000000000000"
    ).replace("XXXX", advertisements.advertisement(V2, SOURCE, 150).hex()[12:16])
    assert advertisements.advertisement(V3, SOURCE, 150).hex()[:12] == "313396020014"
    over_ipv6 = advertisements.advertisement(V6, SOURCE6, 150).hex()
    assert (over_ipv6[:12], over_ipv6[16:]) == (
        "313396020014",
        "fe800000000000000000000000000051" + "20010db8000000000000000000000001",
    )


@pytest.mark.parametrize("settings", [V2, V3, V6, SECRET], ids=["2", "3", "IPv6", "password"])
def test_what_is_sent_is_understood(settings: Settings) -> None:
    heard = advertisements.read(packet(settings), settings)
    assert heard == Advertisement(source_of(settings), 150, settings.interval)
    assert advertisements.read(packet(settings), replace(settings, vrid=52)) is None


@pytest.mark.parametrize(
    ("sent", "mine", "why"),
    [
        (V3, V2, "version 3, type 1 instead of 2, 1"),
        (V2, V3, "version 2, type 1 instead of 3, 1"),
        (SECRET, V2, "other authentication data"),
        (V2, SECRET, "other authentication data"),
        (replace(SECRET, password="other"), SECRET, "other authentication data"),
        (replace(V2, interval=2.0), V2, "an interval of 2 s instead of 1 s"),
        (replace(V2, addresses=("203.0.113.1",)), V2, "the addresses 203.0.113.1 instead of"),
        (
            replace(V3, addresses=("203.0.113.1", "203.0.113.8")),
            V3,
            "the addresses 203.0.113.1, 203.0.113.8 inst",
        ),
    ],
)
def test_another_configuration_is_refused(sent: Settings, mine: Settings, why: str) -> None:
    with pytest.raises(Malformed, match=f"^{why}"):
        advertisements.read(packet(sent), mine)


def test_a_packet_that_has_passed_a_router_is_refused() -> None:
    with pytest.raises(Malformed, match=r"^TTL 254 instead of 255$"):
        advertisements.read(packet(V2, ttl=254), V2)


@pytest.mark.parametrize("settings", [V2, V3, V6, SECRET], ids=["2", "3", "IPv6", "password"])
def test_a_damaged_packet_is_never_an_exception_nor_a_master(settings: Settings, seed: int) -> None:
    """Every truncation, every flipped bit, and random damage."""
    whole = packet(settings)
    noise = random.Random(seed)
    damaged = [whole[:length] for length in range(len(whole))]
    for bit in range(len(whole) * 8):
        damaged.append(
            bytes(byte ^ (1 << bit % 8 if bit // 8 == place else 0) for place, byte in enumerate(whole))
        )
    for _ in range(400_000 if LONG else 1000):
        changed = bytearray(whole)
        for _ in range(noise.randint(1, 4)):
            changed[noise.randrange(20, len(changed))] = noise.randrange(256)
        damaged.append(
            bytes(changed[: noise.randint(20, len(changed))]) + noise.randbytes(noise.randint(0, 9))
        )
    says = advertisements.read(whole, settings)
    for message in damaged:
        try:
            found = advertisements.read(message, settings)
        except Malformed:
            continue
        # Of the unused field for a password, FF 00 and 00 FF have the sum of 00 00 and 00 00.
        assert found is None or message[20:] == whole[20:] or found == says, f"seed {seed}: {message.hex()}"


@pytest.mark.parametrize("settings", [V2, V3, V6], ids=["2", "3", "IPv6"])
def test_a_frame_of_the_virtual_mac_address_is_read_as_the_kernel_would(
    settings: Settings, seed: int
) -> None:
    """Padded frames, too; fragments, other destinations and wrong checksums are nobody's."""
    payload = advertisements.advertisement(settings, source_of(settings), 150)
    mac = "00:00:5e:00:01:33"
    frame, kind = advertisements.frame(payload, settings, source_of(settings), mac, 0xC0)
    group = bytes.fromhex("333300000012" if settings.is_ipv6 else "01005e000012")
    assert frame[:14] == group + bytes.fromhex("00005e000133") + kind.to_bytes(2, "big")
    whole = frame[14:]
    for padding in (0, 1, 18):
        found = advertisements.unpadded(whole + bytes(padding), settings)
        assert found == whole
    heard = Advertisement(source_of(settings), 150, settings.interval)
    assert advertisements.read(whole, settings) == heard
    at = 24 if settings.is_ipv6 else 6  # the destination; or that fragments follow
    assert advertisements.unpadded(whole[:at] + b"\x20" + whole[at + 1 :], settings) is None
    noise = random.Random(seed)
    for _ in range(100_000 if LONG else 1000):
        damaged = bytearray(whole[: noise.randint(0, len(whole))])
        for _ in range(noise.randint(0, 4) if damaged else 0):
            damaged[noise.randrange(len(damaged))] = noise.randrange(256)
        found = advertisements.unpadded(bytes(damaged) + noise.randbytes(noise.randint(0, 9)), settings)
        try:
            read = advertisements.read(found, settings) if found else None
        except Malformed:
            continue
        assert read in (None, heard)


def test_gratuitous_arp_is_a_request_by_the_owner() -> None:
    frame = vip.gratuitous_arp("02:00:00:00:00:01", "203.0.113.1")
    assert frame.hex() == (
        "ffffffffffff02000000000108060001080006040001020000000001cb007101ffffffffffffcb007101"
    )


def test_a_neighbour_advertisement_overrides_and_comes_from_a_router() -> None:
    """Captured from keepalived 2.2.7, but for the MAC address."""
    frame = vip.neighbour_advertisement("02:00:00:00:00:01", "2001:db8::1", router=True)
    assert frame.hex(" ", -4).startswith("33330000 00010200 00000001 86dd6000 00000020 3aff2001")
    assert frame[54:].hex()[:2] + frame[54:].hex()[8:] == "88" + "a0000000" + (
        "20010db8000000000000000000000001" + "0201020000000001"
    )
    assert vip.neighbour_advertisement("02:00:00:00:00:01", "2001:db8::1", router=False)[58] == 0x20
