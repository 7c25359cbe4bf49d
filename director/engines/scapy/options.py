"""IP options of a packet that goes on: the director has its turn in them (see core/ip_options.py)."""

from __future__ import annotations

from collections.abc import Callable
from socket import inet_aton, inet_ntoa
from time import time

from director.core import ip_options
from director.core.packet import HEADER
from director.engines.scapy import checksum

_DAY = 86_400_000  # milliseconds


def passed_on(packet: bytes, own: str, here: str, is_local: Callable[[str], bool]) -> bytes:
    """The IP packet with its options filled in; `own` is recorded in a route, `here` beside a time."""
    header, data = packet[: (packet[0] & 15) * 4], packet[(packet[0] & 15) * 4 :]
    now = int(time() * 1000) % _DAY
    options = ip_options.fill_in(
        header[HEADER:], inet_aton(own), inet_aton(here), lambda address: is_local(inet_ntoa(address)), now
    )
    return checksum.of_header(header[:10] + b"\0\0" + header[12:HEADER] + options) + data
