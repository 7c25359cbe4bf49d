"""IP options: which packets are refused, what is filled in, what each fragment has. Linux does the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core import ip_options
from director.core.commands import DeleteServer, ServiceKey
from director.core.decision import Drop, Forward, Pass, Reject
from director.core.events import Event
from director.core.ip_options import InvalidOption
from director.core.packet import ICMP, TCP, Endpoint, Packet
from tests.unit.director.core.support import RS1, VIP, WEB, client, published, tcp

OWN, HERE, OTHER = (bytes([203, 0, 113, last]) for last in (1, 2, 9))
NOON = 12 * 3600 * 1000
STAMP = NOON.to_bytes(4, "big")
LSRR, SSRR = bytes([131, 7, 4, 192, 0, 2, 1, 0]), bytes([137, 7, 4, 192, 0, 2, 1, 0])


def fill_in(options: bytes) -> bytes:
    assert ip_options.check(options)
    return ip_options.fill_in(options, OWN, HERE, lambda address: address == OWN, NOON)


@pytest.mark.parametrize("options", [LSRR, SSRR, b"\1" * 4 + LSRR, b"\x94\4\0\0" + SSRR])
def test_source_routes_are_refused(options: bytes) -> None:
    assert not ip_options.check(options)


@pytest.mark.parametrize(
    "options",
    [b"", b"\0" * 4, b"\1" * 4, b"\x94\4\0\0", b"\x94\4\0\x07", b"\x99\4ab", b"\x88\4ab"],
)
def test_other_options_are_unchanged(options: bytes) -> None:
    assert fill_in(options) == options


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        (b"\x94\1\0\0", 20),  # shorter than an option is
        (b"\x94\0\0\0", 20),
        (b"\x94\5\0\0", 20),  # longer than all of them
        (b"\1\1\1\x07", 23),  # no length
        (b"\x94\3\0\0", 21),
        (b"\x07\2\0\0", 21),
        (b"\x07\7\3\0\0\0\0\0", 22),  # points into itself
        (b"\x07\7\5\0\0\0\0\0", 22),  # not room for an address, though not full
        (b"\x07\7\4\0\0\0\0\x07\7\4\0\0\0\0\0\0", 27),  # twice
        (b"\x83\2\0\0", 21),
        (b"\x83\7\3\0\0\0\0\0", 22),
        (LSRR[:7] + SSRR, 27),
        (b"\x44\3\5\0", 21),
        (b"\x44\x08\4\0\0\0\0\0", 22),
        (b"\x44\x08\6\0\0\0\0\0", 22),
        (b"\x44\x08\5\1\0\0\0\0", 22),
        (b"\x44\x08\5\3\0\0\0\0", 22),
        (b"\x44\x08\x09\xf0\0\0\0\0", 23),  # fifteen have found no room already
        (b"\x44\x08\x09\0\0\0\0\0\x44\x08\x09\0\0\0\0\0", 28),
    ],
)
def test_the_pointer_is_the_invalid_byte(options: bytes, pointer: int) -> None:
    with pytest.raises(InvalidOption) as wrong:
        ip_options.check(options)
    assert wrong.value.pointer == pointer


@pytest.mark.parametrize(
    ("options", "after"),
    [
        (b"\x07\7\4\0\0\0\0\0", b"\x07\7\x08" + OWN + b"\0"),
        (b"\x07\x0b\x08" + OTHER + b"\0\0\0\0\0", b"\x07\x0b\x0c" + OTHER + OWN + b"\0"),
        (b"\x07\7\x08" + OTHER + b"\0", b"\x07\7\x08" + OTHER + b"\0"),  # full
        (b"\x07\3\4\0", b"\x07\3\4\0"),
        (b"\x44\x08\5\0\0\0\0\0", b"\x44\x08\x09\0" + STAMP),
        (b"\x44\x08\x09\0\0\0\0\7", b"\x44\x08\x09\x10\0\0\0\7"),
        (b"\x44\x0c\5\1" + bytes(8), b"\x44\x0c\x0d\1" + HERE + STAMP),
        (b"\x44\x0c\5\3" + OWN + bytes(4), b"\x44\x0c\x0d\3" + OWN + STAMP),
        (b"\x44\x0c\5\3" + OTHER + bytes(4), b"\x44\x0c\5\3" + OTHER + bytes(4)),
        (b"\x44\x0c\x0d\3" + OWN + STAMP, b"\x44\x0c\x0d\3" + OWN + STAMP),
        (b"\0\x07\1\1", b"\0\0\0\0"),  # nothing follows the end
        (b"\1\x94\4\0\0\1\0\7", b"\1\x94\4\0\0\1\0\0"),
        (b"\x44\x08\5\2\0\0\0\0", b"\x44\x08\5\2\0\0\0\0"),
    ],
)
def test_routes_and_times_are_recorded(options: bytes, after: bytes) -> None:
    assert fill_in(options) == after


def test_later_fragments_have_the_copied_options() -> None:
    options = b"\x94\4\0\0" + b"\x07\7\4\0\0\0\0" + b"\x88\4ab" + b"\0"
    assert ip_options.for_later_fragments(options) == b"\x94\4\0\0" + b"\1" * 7 + b"\x88\4ab" + b"\0"


@given(st.one_of(st.binary(max_size=40), st.lists(st.sampled_from([7, 68, 131, 4, 5, 8, 0, 1])).map(bytes)))
def test_the_length_of_the_options_never_changes(options: bytes) -> None:
    try:
        ip_options.check(options)
    except InvalidOption:
        return
    after = ip_options.fill_in(options, OWN, HERE, lambda address: address == OWN, NOON)
    assert len(after) == len(ip_options.for_later_fragments(options)) == len(options)
    list(ip_options.read(after))


# ---- what is decided ----


def test_a_client_gets_parameter_problem() -> None:
    events: list[Event] = []
    decision = published(on_event=events.append).decide(tcp(client(1), WEB, options=b"\1\1\x94\1"), 0)
    assert isinstance(decision, Reject)
    assert (decision.icmp_type, decision.icmp_code, decision.pointer) == (12, 0, 22)
    assert events[-1].as_dict()["why"] == "invalid IP option at byte 22"


def test_invalid_options_from_a_real_server_are_dropped() -> None:
    """The host's kernel gets the packet, too, and an ICMP error never causes another."""
    director = published()
    director.decide(tcp(client(1), WEB), 0)
    assert isinstance(director.decide(tcp(RS1, client(1), options=b"\1\1\x94\1"), 0), Drop)
    about = tcp(WEB, client(1))
    error = Packet(ICMP, client(0), Endpoint(VIP, 0), 60, icmp_type=3, options=b"\1\1\x94\1", embedded=about)
    assert isinstance(director.decide(error, 0), Drop)


def test_an_error_may_come_from_anywhere_and_a_reply_from_a_deleted_server() -> None:
    director = published()
    opened = director.decide(tcp(client(1), WEB), 0)
    assert isinstance(opened, Forward)
    server = opened.destination
    director.apply([DeleteServer(ServiceKey(TCP, WEB), server)], 0)
    about, router = tcp(client(1), server), Endpoint("192.0.2.1", 0)
    for options, kind in ((b"\x94\4\0\0", Forward), (b"\x94\1\0\0", Drop), (LSRR, Drop)):
        error = Packet(ICMP, router, client(0), 60, icmp_type=3, options=options, embedded=about)
        assert isinstance(director.decide(error, 0), kind)
        assert isinstance(director.decide(tcp(server, client(1), 0x12, options=options), 0), kind)


@pytest.mark.parametrize("options", [LSRR, SSRR])
def test_a_source_routed_packet_is_dropped_with_an_event(options: bytes) -> None:  # differs: source-routes
    events: list[Event] = []
    director = published(on_event=events.append)
    assert isinstance(director.decide(tcp(client(1), WEB, options=options), 0), Drop)
    assert events[-1].kind == "dropped"
    assert len(director.connections) == 0


def test_packets_for_other_addresses_are_passed() -> None:
    packet = tcp(client(1), Endpoint("203.0.113.2", 80), options=LSRR)
    assert isinstance(published().decide(packet, 0), Pass)


def test_packets_with_valid_options_are_forwarded() -> None:
    assert isinstance(published().decide(tcp(client(1), WEB, options=b"\x94\4\0\0"), 0), Forward)
