"""IP options (RFC 791, section 3.1): for which of them packets are refused, and what the director adds.

The rules are those of Linux for all incoming packets, before it looks for a virtual service: source routes
are not allowed (accept_source_route is 0), invalid options are answered with an ICMP error, and the
director records its address and the time in the options that ask for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from director.core.family import IPV4

END, NO_OPERATION = 0, 1  # the two options of one byte
RECORD_ROUTE, TIMESTAMP = 7, 68
LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE, ROUTER_ALERT = 131, 137, 148
_COPIED = 0x80  # the bit of options that are copied into every fragment
_SOURCE_ROUTES = (LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE)
_ONCE = (RECORD_ROUTE, TIMESTAMP, *_SOURCE_ROUTES)
_MIN_SIZE = {RECORD_ROUTE: 3, LOOSE_SOURCE_ROUTE: 3, STRICT_SOURCE_ROUTE: 3, TIMESTAMP: 4, ROUTER_ALERT: 4}
_ROUTES = (RECORD_ROUTE, *_SOURCE_ROUTES)
_TIME_ONLY, _TIME_AND_ADDRESS, _PRESPECIFIED = 0, 1, 3  # flags of TIMESTAMP
_MAX_OVERFLOW = 15  # TIMESTAMP's counter of hosts that found no room
_WORD = 4  # bytes of an address, or of a time


class InvalidOption(Exception):
    """`pointer` is the byte of the IP header that is wrong."""

    def __init__(self, at: int) -> None:
        super().__init__(f"invalid IP option at byte {IPV4.header + at}")
        self.pointer = IPV4.header + at


class Option(NamedTuple):
    kind: int
    at: int  # where in the options it starts, in bytes
    end: int


def read(options: bytes) -> Iterator[Option]:
    """The options of more than one byte. Raises InvalidOption."""
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
    """Whether a packet with these options is accepted; False for a source route. Raises InvalidOption."""
    seen: set[int] = set()
    for option in read(options):
        kind, at, end = option
        if kind in _ONCE and kind in seen:
            raise InvalidOption(at)
        if end - at < _MIN_SIZE.get(kind, 2):
            raise InvalidOption(at + 1)
        if kind in _ROUTES:
            _check_route(options, option)
        elif kind == TIMESTAMP:
            _check_timestamp(options, option)
        seen.update(_SOURCE_ROUTES if kind in _SOURCE_ROUTES else (kind,))
    return not seen & set(_SOURCE_ROUTES)


def _check_route(options: bytes, option: Option) -> None:
    kind, at, end = option
    pointer = options[at + 2]
    if pointer < 4 or (kind == RECORD_ROUTE and end - at - _WORD + 1 < pointer <= end - at):
        raise InvalidOption(at + 2)


def _check_timestamp(options: bytes, option: Option) -> None:
    _, at, end = option
    pointer, size, overflow, flag = options[at + 2], end - at, options[at + 3] >> 4, options[at + 3] & 15
    if pointer < 5:
        raise InvalidOption(at + 2)
    if pointer > size:
        if flag != _PRESPECIFIED and overflow == _MAX_OVERFLOW:
            raise InvalidOption(at + 3)
    elif pointer + _entry_size(flag) - 1 > size:
        raise InvalidOption(at + 2)


def _entry_size(flag: int) -> int:
    """Bytes that each host takes in a TIMESTAMP."""
    return 2 * _WORD if flag in (_TIME_AND_ADDRESS, _PRESPECIFIED) else _WORD


def fill_in(options: bytes, own: bytes, here: bytes, is_own: Callable[[bytes], bool], time: int) -> bytes:
    """The options as a host passes them on; they have been checked.

    The host records the address `own` in a route and `here` beside a time; `is_own` tells whether an address
    is another one of its own. `time` is in milliseconds since midnight UTC.
    """
    result = bytearray(options)
    for kind, at, end in read(options):
        slot = at + options[at + 2] - 1 if end - at > 2 else end
        if kind == RECORD_ROUTE and slot < end:
            result[slot : slot + _WORD] = own
            result[at + 2] += _WORD
        elif kind == TIMESTAMP:
            _fill_in_timestamp(result, at, slot, end, here, is_own, time.to_bytes(_WORD, "big"))
    length = _used_length(options)
    return bytes(result[:length]) + bytes(len(result) - length)


def _used_length(options: bytes) -> int:
    """Bytes before END, or before the end of the options; what follows is padding."""
    at = 0
    for option in read(options):
        at = option.end
    while at < len(options) and options[at] == NO_OPERATION:
        at += 1
    return at


def _fill_in_timestamp(
    result: bytearray, at: int, slot: int, end: int, here: bytes, is_own: Callable[[bytes], bool], time: bytes
) -> None:
    flag = result[at + 3] & 15
    if slot >= end:
        if flag != _PRESPECIFIED:
            result[at + 3] += 0x10  # one more host that found no room
    elif flag == _TIME_ONLY:
        result[slot : slot + _WORD] = time
        result[at + 2] += _WORD
    elif flag == _TIME_AND_ADDRESS or (flag == _PRESPECIFIED and is_own(bytes(result[slot : slot + _WORD]))):
        if flag == _TIME_AND_ADDRESS:
            result[slot : slot + _WORD] = here
        result[slot + _WORD : slot + 2 * _WORD] = time
        result[at + 2] += 2 * _WORD


def for_later_fragments(options: bytes) -> bytes:
    """The options of any fragment but the first: those that are not copied become NO_OPERATION."""
    result = bytearray(options)
    for kind, at, end in read(options):
        if not kind & _COPIED:
            result[at:end] = bytes([NO_OPERATION]) * (end - at)
    return bytes(result)
