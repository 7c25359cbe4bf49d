"""Many clients: UDP datagrams of 18 bytes, each from another address or port, as fast as they can be sent.

    python -m bench.sender INTERFACE MAC ADDRESS PORT PORTS FIRST CLIENTS

To be run in a client's namespace. A line on its input, once it is ready, is a number of seconds: it
sends from one client after the other until they are over, and at least once from each; it answers with
what it has sent and how long that took, as JSON. Client i asks for port PORT + i % PORTS.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address
from time import perf_counter

NETWORK = IPv4Address("198.19.0.0")  # whose /16 the clients are in (RFC 2544: for benchmarks)
_PORTS = range(1024, 1024 + 50_000)  # of each client's address
_DATA = bytes(18)
_PACKET, _QDISC_BYPASS = 263, 20  # SOL_PACKET, PACKET_QDISC_BYPASS (packet(7))
_AT_ONCE = 1000  # frames between two looks at the clock


def frames(source: bytes, to: bytes, address: str, ports: range, clients: range) -> list[bytes]:
    """Ethernet frames, 60 bytes each, without a UDP checksum; MAC addresses as bytes."""
    suffixes = [struct.pack("!HHH", port, 8 + len(_DATA), 0) + _DATA for port in ports]
    sources = [struct.pack("!H", port) for port in _PORTS]
    made: list[bytes] = []
    for number in range(clients.start // len(_PORTS), (clients.stop - 1) // len(_PORTS) + 1):
        header = to + source + b"\x08\x00" + _header(NETWORK + 1 + number, IPv4Address(address))
        begin = number * len(_PORTS)
        own = range(max(clients.start, begin) - begin, min(clients.stop, begin + len(_PORTS)) - begin)
        made += [header + sources[at] + suffixes[(begin + at) % len(suffixes)] for at in own]
    return made


def _header(source: IPv4Address, destination: IPv4Address) -> bytes:
    """Of IP, with its checksum (RFC 791)."""
    length = 20 + 8 + len(_DATA)
    start = struct.pack("!BBHHHBB", 0x45, 0, length, 0, 0, 64, socket.IPPROTO_UDP)
    ends = source.packed + destination.packed
    total = sum(struct.unpack("!9H", start[:8] + start[8:] + ends))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return start + struct.pack("!H", ~total & 0xFFFF) + ends


def send(wire: socket.socket, made: Sequence[bytes], seconds: float) -> dict[str, float]:
    """Once from each, then on and on until the time is over."""
    emit = wire.send
    sent, place, began = 0, 0, perf_counter()
    while sent < len(made) or perf_counter() < began + seconds:
        part = made[place : place + _AT_ONCE]
        for frame in part:
            emit(frame)
        sent += len(part)
        place = (place + len(part)) % len(made)
    return {"sent": sent, "seconds": perf_counter() - began}


def main(interface: str, mac: str, address: str, port: str, ports: str, first: str, clients: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        wire.setsockopt(_PACKET, _QDISC_BYPASS, 1)
        own = wire.getsockname()[4]
        wanted = range(int(port), int(port) + int(ports)), range(int(first), int(first) + int(clients))
        made = frames(own, bytes.fromhex(mac.replace(":", "")), address, *wanted)
        print("ready", flush=True)
        for line in sys.stdin:
            print(json.dumps(send(wire, made, float(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
