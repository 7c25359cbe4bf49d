"""ftp says addresses and ports inside its control connection: finding them in a line.

    PORT 198,51,100,101,156,64        the client listens there            RFC 959
    EPRT |1|198.51.100.101|40000|     the same, for IPv4 as protocol 1    RFC 2428
    227 ... (172,16,0,3,117,48)       the real server listens there       RFC 959
    229 ... (|||30000|)               the same, only the port             RFC 2428

Blanks may be in front of the numbers of a command, and anything behind them. Bytes in, values out: what
becomes of a found endpoint is the helper's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from director.core.packet import Endpoint, Packet
from director.core.tcp_stream import Edits, LineReader, data_start

CONTROL_PORT = 21
DATA_PORT = 20
FIRST_FREE_PORT = 1024  # below are the well-known ones, where no ftp server waits for data

_SIX = rb"(?<!\d)" + rb",".join([rb"(\d{1,3})"] * 6) + rb"(?!\d)"
_PORT = re.compile(rb"PORT +" + _SIX + rb"(?=\s)", re.IGNORECASE)
_FOUR = rb"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})"
_EPRT = re.compile(rb"EPRT +([!-~])1\1" + _FOUR + rb"\1(\d{1,5})\1(?=\s)", re.IGNORECASE)
_PASSIVE = re.compile(rb"227 .*?" + _SIX)
_EXTENDED = re.compile(rb"229 .*?\(([!-~])\1\1(\d{1,5})\1\)")
_ADDRESS_BEGUN = re.compile(rb"227 .*?\d")


@dataclass(slots=True)
class Session:
    """What the helper remembers of a control connection.

    `sent` is the sequence number up to which the real server's text has been passed on.
    """

    commands: LineReader = field(default_factory=LineReader)
    replies: LineReader = field(default_factory=LineReader)
    edits: Edits = field(default_factory=Edits)
    sent: int | None = None

    def rewritten(self, packet: Packet) -> tuple[int, bytes | None]:
        """What is added to a reply's sequence number, and its new data where that is another."""
        begin = data_start(packet)
        payload = self.edits.rewritten(begin, packet.payload)
        return self.edits.for_sequence(begin), payload if payload != packet.payload else None


class Passive(NamedTuple):
    """Where the real server listens, and where in the line it says so."""

    endpoint: Endpoint
    start: int
    end: int


def active(line: bytes) -> Endpoint | None:
    """Where the client listens for a data connection, by its PORT or EPRT command."""
    found = _PORT.match(line)
    if found:
        return _six(found)
    found = _EPRT.match(line)
    if found:
        return _endpoint(found.groups()[1:5], int(found[6]))
    return None


def passive(line: bytes) -> Passive | None:
    """Where the real server listens, by its 227 reply."""
    found = _PASSIVE.match(line)
    endpoint = _six(found) if found else None
    return Passive(endpoint, found.start(1), found.end(6)) if found and endpoint else None


def extended_passive(line: bytes) -> int | None:
    """The port on which the real server listens, by its 229 reply."""
    found = _EXTENDED.match(line)
    return int(found[2]) if found and 0 < int(found[2]) < 65536 else None


def begins_address(unfinished: bytes) -> bool:
    """Whether the address of a 227 reply may be in this line, of which the end is still to come."""
    return _ADDRESS_BEGUN.match(unfinished) is not None


def six_numbers(endpoint: Endpoint) -> bytes:
    """An endpoint as PORT and 227 write it."""
    high, low = divmod(endpoint.port, 256)
    return f"{endpoint.address.replace('.', ',')},{high},{low}".encode()


def _six(found: re.Match[bytes]) -> Endpoint | None:
    high, low = int(found[5]), int(found[6])
    return _endpoint(found.groups()[:4], high * 256 + low) if max(high, low) < 256 else None


def _endpoint(numbers: tuple[bytes, ...], port: int) -> Endpoint | None:
    values = [int(number) for number in numbers]
    if max(values) > 255 or not 0 < port < 65536:
        return None
    return Endpoint(".".join(map(str, values)), port)
