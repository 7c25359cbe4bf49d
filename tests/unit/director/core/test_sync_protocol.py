"""Messages between directors: byte by byte, there and back, and none that breaks a receiver."""

from __future__ import annotations

import random
import sys
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director.core.family import canonical
from director.core.packet import TCP, UDP, Endpoint
from director.core.sync_protocol import (
    MAX_CONNECTIONS,
    NO_SHIFT,
    Flag,
    Outbox,
    Shift,
    SyncRecord,
    decode,
    encode,
    plain,
    request,
)
from tests.conftest import LONG

CLIENT, VIP, SERVER = (
    Endpoint("198.51.100.101", 40000),
    Endpoint("203.0.113.1", 80),
    Endpoint("172.16.0.2", 8000),
)
PLAIN = SyncRecord(TCP, CLIENT, VIP, SERVER, 0, 1, 900, 7)
FTP = PLAIN._replace(flags=int(Flag.OUT_SEQUENCE), from_server=Shift(4711, -3, 2))
TEMPLATE = SyncRecord(
    TCP,
    CLIENT._replace(port=0),
    VIP,
    SERVER,
    int(Flag.TEMPLATE | Flag.INACTIVE | Flag.NO_OUTPUT | Flag.DIRECT_ROUTE),
    1,
    360,
)
MUTATIONS = 1_000_000 if LONG else 5_000

# The same connections by hand.
ADDRESSES = bytes([198, 51, 100, 101, 203, 0, 113, 1, 172, 16, 0, 2])
PLAIN_V1 = (
    bytes([0, 6])  # IPv4, TCP
    + bytes([0, 36])  # version 0 of a connection, 36 bytes
    + bytes(4)  # flags
    + bytes([0, 1])  # ESTABLISHED
    + bytes([0x9C, 0x40, 0, 80, 0x1F, 0x40])  # ports
    + bytes([0, 0, 0, 7])  # firewall mark
    + bytes([0, 0, 3, 0x84])  # 900 s
    + ADDRESSES
)
FTP_V1 = (
    PLAIN_V1[:2]
    + bytes([0, 62, 0, 0, 2, 0])
    + PLAIN_V1[8:]
    + bytes([1, 24])  # option 1 of 24 bytes: shifts of the client's numbers, then the server's
    + bytes(12)
    + bytes([0, 0, 0x12, 0x67, 0xFF, 0xFF, 0xFF, 0xFD, 0, 0, 0, 2])
)
PLAIN_V0 = bytes([0, 6, 0x9C, 0x40, 0, 80, 0x1F, 0x40]) + ADDRESSES + bytes([0, 0, 0, 1])
FTP_V0 = PLAIN_V0[:-4] + bytes([2, 0, 0, 1]) + bytes(12) + pack("=Iii", 4711, -3, 2)


def header_v1(count: int, *connections: bytes, syncid: int = 9) -> bytes:
    body = b"".join(connections)
    return bytes([0, syncid]) + (8 + len(body)).to_bytes(2, "big") + bytes([count, 1, 0, 0]) + body


def header_v0(count: int, *connections: bytes, syncid: int = 9) -> bytes:
    body = b"".join(connections)
    return bytes([count, syncid]) + (4 + len(body)).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    ("record", "version", "expected"),
    [(PLAIN, 1, PLAIN_V1), (FTP, 1, FTP_V1), (PLAIN, 0, PLAIN_V0), (FTP, 0, FTP_V0)],
)
def test_a_connection_byte_by_byte(record: SyncRecord, version: int, expected: bytes) -> None:
    assert encode(record, version) == expected


def test_messages_byte_by_byte() -> None:
    box = Outbox(9, 1472)
    for record in (FTP, PLAIN):
        assert box.add(record, 1, 0) is None
    # A connection starts at a multiple of four; nothing follows the last one.
    assert box.take() == header_v1(2, FTP_V1, bytes(2), PLAIN_V1)
    assert box.take() is None
    for record in (FTP, PLAIN):
        assert box.add(record, 0, 0) is None
    assert box.take() == header_v0(2, FTP_V0, PLAIN_V0)


@pytest.mark.parametrize(("version", "connections"), [(0, 61), (1, 40)])
def test_a_message_is_as_long_as_an_ethernet_frame_allows(version: int, connections: int) -> None:
    box = Outbox(1, 1472)
    full = [box.add(PLAIN, version, 0) for _ in range(connections + 1)]
    assert full[:-1] == [None] * connections
    assert full[-1] is not None
    assert len(decode(full[-1]).records) == connections


@pytest.mark.parametrize("version", [0, 1])
def test_a_message_has_no_more_connections_than_its_header_can_count(version: int) -> None:
    box = Outbox(1, 65507)
    full = [box.add(PLAIN, version, 0) for _ in range(MAX_CONNECTIONS + 1)]
    assert full[-1] is not None
    assert len(decode(full[-1]).records) == MAX_CONNECTIONS


def test_a_connection_longer_than_a_message_may_be_is_sent_alone() -> None:
    box = Outbox(1, 1)
    assert box.add(PLAIN, 1, 0) is None
    assert box.add(FTP, 1, 0) == header_v1(1, PLAIN_V1, syncid=1)


def test_another_version_begins_another_message() -> None:
    box = Outbox(1, 1472)
    box.add(PLAIN, 1, 0)
    assert box.add(PLAIN, 0, 0) == header_v1(1, PLAIN_V1, syncid=1)
    assert box.take() == header_v0(1, PLAIN_V0, syncid=1)


def test_a_message_waits_two_seconds_for_more() -> None:
    box = Outbox(1, 1472)
    assert not box.is_due(100)
    box.add(PLAIN, 1, 10)
    box.add(PLAIN, 1, 11.5)
    assert not box.is_due(11.9)
    assert box.is_due(12)


# ---- there and back ----

numbers = st.integers(0, 65535)
shifts = st.builds(Shift, st.integers(0, 2**32 - 1), *[st.integers(-(2**31), 2**31 - 1)] * 2)


def endpoints(*, ipv6: bool) -> st.SearchStrategy[Endpoint]:
    return st.builds(Endpoint, st.ip_addresses(v=6 if ipv6 else 4).map(str).map(canonical), numbers)


@st.composite
def records(draw: st.DrawFn, *, version: int) -> SyncRecord:
    flags = draw(st.integers(0, 0x1FFF)) & Flag.RECEIVED
    ipv6 = bool(version) and draw(st.booleans())
    protocol, states = draw(st.sampled_from([(TCP, 11), (UDP, 1)]))
    client, vip, server = (draw(endpoints(ipv6=ipv6)) for _ in range(3))
    own = (draw(shifts), draw(shifts)) if flags & Flag.SEQUENCES else (NO_SHIFT, NO_SHIFT)
    later = (draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1))) if version else (0, 0)
    return SyncRecord(protocol, client, vip, server, flags, draw(st.integers(0, states - 1)), *later, *own)


@settings(max_examples=300 if LONG else 40)  # of up to 90 connections: drawing them takes the time
@given(
    st.sampled_from([0, 1]).flatmap(
        lambda v: st.tuples(st.just(v), st.lists(records(version=v), max_size=90))
    )
)
def test_what_is_written_is_read(given_: tuple[int, list[SyncRecord]]) -> None:
    version, wanted = given_
    box = Outbox(3, 1472)
    messages = [box.add(record, version, 0) for record in wanted] + [box.take()]
    found = [decode(message, 3) for message in messages if message is not None]
    assert [record for message in found for record in message.records] == wanted
    assert not any(message.skipped or message.dropped for message in found)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (b"", "shorter than a header"),
        (b"\1\1\0", "shorter than a header"),
        (header_v1(1, PLAIN_V1) + b"\0", "its header says"),
        (header_v1(1, PLAIN_V1)[:-1], "its header says"),
        (header_v1(1, PLAIN_V1, syncid=8), "syncid 8, not 9"),
        (header_v1(1, PLAIN_V1[:-1]), "truncated"),
        (header_v1(1, PLAIN_V1[:3] + b"\x25" + PLAIN_V1[4:]), "longer than the message"),
        (header_v1(1, PLAIN_V1[:3] + b"\x23" + PLAIN_V1[4:]), "too short"),
        (header_v1(1, PLAIN_V1[:2] + b"\x10\x24" + PLAIN_V1[4:]), "version 1"),
        (header_v1(1, b"\2" + PLAIN_V1[1:]), "type 2"),
        (header_v1(1, b"\1" + PLAIN_V1[1:]), "too short"),  # IPv6 takes 72 bytes
        # The flags say that sequence numbers are shifted, and nothing says by how much.
        (header_v1(1, PLAIN_V1[:4] + bytes([0, 0, 2, 0]) + PLAIN_V1[8:]), "no sequence numbers"),
        (header_v1(1, PLAIN_V1[:4] + bytes([0, 0, 4, 0]) + PLAIN_V1[8:]), "no sequence numbers"),
        (header_v1(1, FTP_V1[:3] + b"\x25" + FTP_V1[4:37]), "truncated option"),
        (header_v1(1, FTP_V1[:3] + b"\x26" + FTP_V1[4:37] + b"\0"), "option 1 of 0 bytes"),
        (header_v1(1, FTP_V1[:37] + b"\x19" + FTP_V1[38:]), "option 1 of 25 bytes"),
        (header_v1(1, FTP_V1[:3] + b"\x58" + FTP_V1[4:] + FTP_V1[36:]), "twice"),
        (header_v0(1, PLAIN_V0[:-1]), "truncated"),
        (header_v0(1, FTP_V0[:-1]), "truncated sequence numbers"),
    ],
)
def test_a_wrong_message_is_dropped(datagram: bytes, why: str) -> None:
    message = decode(datagram, 9)
    assert message.records == []
    assert why in message.dropped


def test_connections_before_the_wrong_one_are_kept() -> None:
    for message in (header_v1(3, PLAIN_V1, b"\2" + PLAIN_V1[1:], PLAIN_V1), header_v1(2, PLAIN_V1)):
        found = decode(message, 9)
        assert found.records == [PLAIN]
        assert found.dropped


@pytest.mark.parametrize(
    "wrong",
    [
        PLAIN_V1[:9] + bytes([11]) + PLAIN_V1[10:],  # TCP has 11 states, the first is 0
        b"\0\x11" + PLAIN_V1[2:],  # UDP has one, and this is the second
        b"\0\x84" + PLAIN_V1[2:],  # SCTP
        b"\0\0" + PLAIN_V1[2:],
        PLAIN_V1[:3] + bytes([40]) + PLAIN_V1[4:] + b"\x05\2ab",  # an unknown option that matters
        PLAIN_V1[:3] + bytes([44]) + PLAIN_V1[4:] + b"\2\2ab\3\2cd",  # a persistence engine
        PLAIN_V1[:3] + bytes([40]) + PLAIN_V1[4:] + b"\2\2ab",
    ],
)
def test_one_connection_that_is_not_for_us_is_skipped(wrong: bytes) -> None:
    message = decode(header_v1(2, wrong, PLAIN_V1), 9)
    assert (message.records, message.skipped, message.dropped) == ([PLAIN], 1, "")


def test_an_unknown_option_may_say_that_it_can_be_ignored() -> None:
    data = PLAIN_V1[:3] + bytes([40]) + PLAIN_V1[4:] + b"\x45\2ab"
    assert decode(header_v1(1, data), 9).records == [PLAIN]


def test_a_request_for_everything_says_nothing_to_a_receiver() -> None:
    assert request(9) == header_v1(0)
    assert decode(request(9), 9) == ([], 0, "")


def test_a_receiver_without_a_syncid_takes_all() -> None:
    assert decode(header_v1(1, PLAIN_V1, syncid=77)).records == [PLAIN]


def test_only_flags_that_concern_a_receiver_are_kept() -> None:
    data = PLAIN_V1[:4] + bytes([0xFF, 0xFF, 0xF9, 0xFF]) + PLAIN_V1[8:]
    assert decode(header_v1(1, data), 9).records[0].flags == Flag.RECEIVED & ~Flag.SEQUENCES


def test_a_template_may_have_any_state_and_protocol() -> None:
    odd = TEMPLATE._replace(protocol=0, state=9)
    assert decode(header_v1(1, encode(odd, 1)), 9).records == [odd]


def test_a_message_that_is_not_quite_version_1_is_read_as_version_0() -> None:
    message = bytearray(header_v1(1, PLAIN_V1))
    message[6] = 1
    assert decode(bytes(message), 9) == ([], 0, "")  # no connections, by the first byte
    if sys.byteorder == "little":
        message[0] = 1
        assert len(decode(bytes(message), 9).records) + decode(bytes(message), 9).skipped == 1


def test_many_connections_make_the_messages_that_they_make_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    six = Endpoint("2001:db8::1", 1)
    for one in (PLAIN, FTP, PLAIN._replace(client=six, vip=six, server=six)):
        encoded = [encode(one._replace(timeout=number), 1) for number in range(600)]
        for maxlen in (1, 500, 1472, 65507):
            single, many = Outbox(9, maxlen), Outbox(9, maxlen)
            expected = [full for part in encoded if (full := single.append(part, 1, 0))]
            found: list[bytes] = []
            at = 0
            while at < len(encoded):
                some = encoded[at : at + chance.randrange(1, 300)]
                found += many.extend(some, 1, 0)
                at += len(some)
            assert found == expected
            assert many.take() == single.take()


@pytest.mark.parametrize(
    ("message", "is_plain"),
    [
        (header_v1(1, PLAIN_V1), True),
        (header_v1(2, PLAIN_V1, PLAIN_V1[:6] + bytes([1]) + PLAIN_V1[7:]), True),  # inactive
        (header_v1(1, FTP_V1), False),
        (header_v1(2, PLAIN_V1, encode(TEMPLATE, 1)), False),
        (header_v1(2, PLAIN_V1), False),  # fewer than it says
        (header_v1(1, PLAIN_V1, PLAIN_V1), False),
        (header_v1(1, PLAIN_V1, syncid=8), False),
        (header_v1(0), False),
        (header_v0(1, PLAIN_V0), False),
        (header_v0(2, PLAIN_V0, PLAIN_V0), False),
        (b"", False),
    ],
)
def test_a_message_of_the_common_kind_is_read_as_one(message: bytes, *, is_plain: bool) -> None:
    found = plain(message, 9)
    assert (found is not None) is is_plain
    if found is not None:
        assert list(found.all_records()) == decode(message, 9).records


def test_no_mutation_breaks_a_receiver(seed: int) -> None:
    """Whatever comes, the answer is a message; and a record has only what a table can take."""
    chance = random.Random(seed)
    originals = [
        header_v1(3, PLAIN_V1, PLAIN_V1, PLAIN_V1),
        header_v1(3, FTP_V1, bytes(2), PLAIN_V1, encode(TEMPLATE, 1)),
        header_v1(1, encode(PLAIN._replace(client=(six := Endpoint("::1", 1)), vip=six, server=six), 1)),
        header_v0(2, FTP_V0, PLAIN_V0),
    ]
    for _ in range(MUTATIONS):
        data = bytearray(chance.choice(originals))
        for _ in range(chance.choice((1, 1, 2, 4, 8))):
            data[chance.randrange(len(data))] = chance.choice(
                (0, 1, 2, 4, 0x7F, 0x80, 0xFF, chance.randrange(256))
            )
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        if chance.random() < 0.8 and len(data) > 4:
            data[2:4] = len(data).to_bytes(2, "big")
        syncid = chance.choice((0, 9))
        message, common = decode(bytes(data), syncid), plain(bytes(data), syncid)
        if common is not None:
            every = list(common.all_records())
            assert [record for record in every if record] == message.records
            assert (every.count(None), message.dropped) == (message.skipped, "")
        for record in message.records:
            assert record.flags & ~Flag.RECEIVED == 0
            assert record.flags & Flag.TEMPLATE or record.state < {TCP: 11, UDP: 1}[record.protocol]
