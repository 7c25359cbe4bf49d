"""IP options (RFC 791, section 3.1): what a packet is refused for, and what the director adds to them.

As Linux does with all that comes in, before it looks for a virtual service: who wants to choose the way
himself is not served (accept_source_route is 0), a wrong option is answered, and the other ones have
their turn: an address is recorded, and the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from director.core.packet import HEADER

END, NO_OPERATION = 0, 1  # the two of one byte
RECORD_ROUTE, TIMESTAMP = 7, 68
LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE, ROUTER_ALERT = 131, 137, 148
_COPIED = 0x80  # the bit of those that each fragment has
_SOURCE_ROUTES = (LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE)
_ONCE = (RECORD_ROUTE, TIMESTAMP, *_SOURCE_ROUTES)
_SMALLEST = {RECORD_ROUTE: 3, LOOSE_SOURCE_ROUTE: 3, STRICT_SOURCE_ROUTE: 3, TIMESTAMP: 4, ROUTER_ALERT: 4}
_ROUTES = (RECORD_ROUTE, *_SOURCE_ROUTES)
_TIME_ONLY, _TIME_AND_ADDRESS, _PRESCRIBED = 0, 1, 3  # flags of TIMESTAMP
_FULL = 15  # its counter of those who found no room
_WORD = 4  # bytes of an address, or of a time


class InvalidOption(Exception):
    """An option makes no sense; `pointer` is where in the IP header, in bytes."""

    def __init__(self, at: int) -> None:
        super().__init__(f"a wrong IP option at byte {HEADER + at}")
        self.pointer = HEADER + at


class Option(NamedTuple):
    kind: int
    at: int  # where in the options it starts, in bytes
    end: int


def read(options: bytes) -> Iterator[Option]:
    """Those of more than one byte. Raises InvalidOption."""
    at = 0
    while at < len(options) and options[at] != END:
        if options[at] == NO_OPERATION:
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            raise InvalidOption(at)
        yield Option(options[at], at, at + size)
        at += size


def check(options: bytes) -> bool:
    """Whether a packet with these may pass: it must not say by which way. Raises InvalidOption."""
    seen: set[int] = set()
    for option in read(options):
        kind, at, end = option
        if kind in _ONCE and kind in seen:
            raise InvalidOption(at)
        if end - at < _SMALLEST.get(kind, 2):
            raise InvalidOption(at + 1)
        if kind in _ROUTES:
            _check_route(options, option)
        elif kind == TIMESTAMP:
            _check_timestamp(options, option)
        seen.update(_SOURCE_ROUTES if kind in _SOURCE_ROUTES else (kind,))
    return not seen & set(_SOURCE_ROUTES)


def _check_route(options: bytes, option: Option) -> None:
    kind, at, end = option
    place = options[at + 2]
    if place < 4 or (kind == RECORD_ROUTE and end - at - _WORD + 1 < place <= end - at):
        raise InvalidOption(at + 2)


def _check_timestamp(options: bytes, option: Option) -> None:
    _, at, end = option
    place, size, counted, flag = options[at + 2], end - at, options[at + 3] >> 4, options[at + 3] & 15
    if place < 5:
        raise InvalidOption(at + 2)
    if place > size:
        if flag != _PRESCRIBED and counted == _FULL:
            raise InvalidOption(at + 3)
    elif place + _entry(flag) - 1 > size:
        raise InvalidOption(at + 2)


def _entry(flag: int) -> int:
    """How many bytes each host takes in a TIMESTAMP."""
    return 2 * _WORD if flag in (_TIME_AND_ADDRESS, _PRESCRIBED) else _WORD


def fill_in(options: bytes, own: bytes, here: bytes, is_own: Callable[[bytes], bool], time: int) -> bytes:
    """As a host passes them on; `time` in milliseconds since midnight UTC. They have been checked.

    `own` is the address that it records in a route, `here` the one beside a time, and `is_own` says
    whether an address is one of its others.
    """
    now = bytearray(options)
    for kind, at, end in read(options):
        place = at + options[at + 2] - 1 if end - at > 2 else end
        if kind == RECORD_ROUTE and place < end:
            now[place : place + _WORD] = own
            now[at + 2] += _WORD
        elif kind == TIMESTAMP:
            _stamp(now, at, place, end, here, is_own, time.to_bytes(_WORD, "big"))
    behind = _end_of(options)
    return bytes(now[:behind]) + bytes(len(now) - behind)


def _end_of(options: bytes) -> int:
    """Where END stands, or where they end without one; what follows is nothing."""
    at = 0
    for option in read(options):
        at = option.end
    while at < len(options) and options[at] == NO_OPERATION:
        at += 1
    return at


def _stamp(
    now: bytearray, at: int, place: int, end: int, here: bytes, is_own: Callable[[bytes], bool], time: bytes
) -> None:
    flag = now[at + 3] & 15
    if place >= end:
        if flag != _PRESCRIBED:
            now[at + 3] += 0x10  # one more who found no room
    elif flag == _TIME_ONLY:
        now[place : place + _WORD] = time
        now[at + 2] += _WORD
    elif flag == _TIME_AND_ADDRESS or (flag == _PRESCRIBED and is_own(bytes(now[place : place + _WORD]))):
        if flag == _TIME_AND_ADDRESS:
            now[place : place + _WORD] = here
        now[place + _WORD : place + 2 * _WORD] = time
        now[at + 2] += 2 * _WORD


def for_later_fragments(options: bytes) -> bytes:
    """What a fragment that is not the first has of them: others say nothing in their places."""
    now = bytearray(options)
    for kind, at, end in read(options):
        if not kind & _COPIED:
            now[at:end] = bytes([NO_OPERATION]) * (end - at)
    return bytes(now)
