"""ftp says addresses and ports inside its control connection: finding and rewriting them.

    PORT 198,51,100,101,156,64        the client listens there            RFC 959
    EPRT |1|198.51.100.101|40000|     the same, for IPv4 as protocol 1    RFC 2428
    227 ... (172,16,0,3,117,48)       the real server listens there       RFC 959
    229 ... (|||30000|)               the same, only the port             RFC 2428

Bytes in, values out: what becomes of a found endpoint is the director's business.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address

from director.core.packet import Endpoint

CONTROL_PORT = 21
_LONGEST_LINE = 512  # bytes of an unfinished line that are remembered

_SIX = rb"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})"
_PORT = re.compile(rb"^PORT " + _SIX + rb"\s*\r?\n", re.IGNORECASE | re.MULTILINE)
_EPRT = re.compile(rb"^EPRT (.)1\1([0-9.]{7,15})\1(\d{1,5})\1\s*\r?\n", re.IGNORECASE | re.MULTILINE)
_PASSIVE = re.compile(rb"^227 [^\r\n]*?" + _SIX, re.MULTILINE)
_EXTENDED = re.compile(rb"^229 [^\r\n]*?\((.)\1\1(\d{1,5})\1\)", re.MULTILINE)


def active(text: bytes) -> Endpoint | None:
    """Where the client listens for a data connection, by its PORT or EPRT command."""
    found = _PORT.search(text)
    if found:
        return _endpoint(found.groups())
    found = _EPRT.search(text)
    if found:
        return _checked(found[2].decode(), int(found[3]))
    return None


def passive(text: bytes) -> Endpoint | None:
    """Where the real server listens, by its 227 reply."""
    found = _PASSIVE.search(text)
    return _endpoint(found.groups()) if found else None


def extended_passive(text: bytes) -> int | None:
    """The port on which the real server listens, by its 229 reply."""
    found = _EXTENDED.search(text)
    return int(found[2]) if found and 0 < int(found[2]) < 65536 else None


def with_passive(text: bytes, endpoint: Endpoint) -> bytes:
    """`text` with the endpoint of its 227 reply replaced."""
    found = _PASSIVE.search(text)
    assert found is not None
    high, low = divmod(endpoint.port, 256)
    numbers = endpoint.address.replace(".", ",") + f",{high},{low}"
    return text[: found.start(1)] + numbers.encode() + text[found.end(6) :]


def unfinished(text: bytes) -> bytes:
    """What stands behind the last line end: the beginning of a command that is still to come."""
    return text[text.rfind(b"\n") + 1 :][-_LONGEST_LINE:]


def _endpoint(numbers: tuple[bytes, ...]) -> Endpoint | None:
    values = [int(number) for number in numbers]
    if any(value > 255 for value in values):
        return None
    return _checked(".".join(map(str, values[:4])), values[4] * 256 + values[5])


def _checked(address: str, port: int) -> Endpoint | None:
    try:
        IPv4Address(address)
    except AddressValueError:
        return None
    return Endpoint(address, port) if 0 < port < 65536 else None
