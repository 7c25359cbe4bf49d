"""ftp's control connection: the addresses and ports in its lines, and what the director remembers of it.

    PORT 198,51,100,101,156,64        the client listens there            RFC 959
    EPRT |1|198.51.100.101|40000|     the same, for IPv4 as protocol 1    RFC 2428
    EPRT |2|2001:db8::65|40000|       the same, for IPv6 as protocol 2    RFC 2428
    227 ... (172,16,0,3,117,48)       the real server listens there       RFC 959
    229 ... (|||30000|)               the same, only the port             RFC 2428

Spaces may precede the numbers of a command, and anything may follow them. Bytes in, values out: ftp_helper.py
decides what happens with an endpoint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from director.core.family import canonical
from director.core.packet import Endpoint, Packet
from director.core.tcp_stream import Edits, LineReader, data_start

CONTROL_PORT = 21
DATA_PORT = 20
FIRST_UNPRIVILEGED_PORT = 1024  # no ftp server waits for data connections on a lower one

_SIX = rb"(?<!\d)" + rb",".join([rb"(\d{1,3})"] * 6) + rb"(?!\d)"
_PORT = re.compile(rb"PORT +" + _SIX + rb"(?=\s)", re.IGNORECASE)
_FOUR = rb"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})"
_EPRT = re.compile(rb"EPRT +([!-~])1\1" + _FOUR + rb"\1(\d{1,5})\1(?=\s)", re.IGNORECASE)
_EPRT_IPV6 = re.compile(rb"EPRT +([!-~])2\1([0-9a-f:.]{2,45})\1(\d{1,5})\1(?=\s)", re.IGNORECASE)
_PASSIVE = re.compile(rb"227 .*?" + _SIX)
_EXTENDED = re.compile(rb"229 .*?\(([!-~])\1\1(\d{1,5})\1\)")
_PASSIVE_BEGUN = re.compile(rb"227 .*?\d")


@dataclass(slots=True)
class Session:
    """What the director remembers of a control connection.

    `sent` is the sequence number up to which the real server's text has been forwarded.
    """

    commands: LineReader = field(default_factory=LineReader)
    replies: LineReader = field(default_factory=LineReader)
    edits: Edits = field(default_factory=Edits)
    sent: int | None = None

    def rewritten(self, packet: Packet) -> tuple[int, bytes | None]:
        """What to add to a reply's sequence number, and its new data, None if it stays as it is."""
        start = data_start(packet)
        payload = self.edits.rewritten(start, packet.payload)
        return self.edits.for_sequence(start), payload if payload != packet.payload else None


class Passive(NamedTuple):
    """Where the real server listens, and which part of the line says so."""

    endpoint: Endpoint
    start: int
    end: int


def active(line: bytes) -> Endpoint | None:
    """Where the client listens for a data connection, by its PORT or EPRT command."""
    match = _PORT.match(line)
    if match:
        return _six(match)
    match = _EPRT.match(line)
    if match:
        return _endpoint(match.groups()[1:5], int(match[6]))
    match = _EPRT_IPV6.match(line)
    if match and b":" in match[2] and 0 < int(match[3]) < 65536:
        return Endpoint(canonical(match[2].decode()), int(match[3]))
    return None


def passive(line: bytes) -> Passive | None:
    """Where the real server listens, by its 227 reply."""
    match = _PASSIVE.match(line)
    endpoint = _six(match) if match else None
    return Passive(endpoint, match.start(1), match.end(6)) if match and endpoint else None


def extended_passive(line: bytes) -> int | None:
    """The port on which the real server listens, by its 229 reply."""
    match = _EXTENDED.match(line)
    return int(match[2]) if match and 0 < int(match[2]) < 65536 else None


def begins_address(unfinished: bytes) -> bool:
    """Whether this line, whose end is still to come, may contain the address of a 227 reply."""
    return _PASSIVE_BEGUN.match(unfinished) is not None


def six_numbers(endpoint: Endpoint) -> bytes:
    """An endpoint as PORT and 227 write it."""
    high, low = divmod(endpoint.port, 256)
    return f"{endpoint.address.replace('.', ',')},{high},{low}".encode()


def _six(match: re.Match[bytes]) -> Endpoint | None:
    high, low = int(match[5]), int(match[6])
    return _endpoint(match.groups()[:4], high * 256 + low) if max(high, low) < 256 else None


def _endpoint(numbers: tuple[bytes, ...], port: int) -> Endpoint | None:
    values = [int(number) for number in numbers]
    if max(values) > 255 or not 0 < port < 65536:
        return None
    return Endpoint(".".join(map(str, values)), port)
