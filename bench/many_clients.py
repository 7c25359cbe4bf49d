"""Many clients at once: UDP datagrams of 18 bytes, each from another address or port, as fast as possible.

`clients` starts a program for them on a testbed's client host (the lower half of this file) and counts what
arrives at the server. The program:

    python -m bench.many_clients INTERFACE MAC ADDRESS PORT PORTS FIRST CLIENTS

prints `ready`. For each line of its input, a number of seconds, it sends for that long from one client
after another, at least once from each, and prints as JSON how many packets it has sent in what time.
Client i asks for port PORT + i % PORTS.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from time import perf_counter

from bench.testbed import Testbed
from labs.errors import BuildFailed

PORT = 1000  # the first port they send to
_DROP = f"""table ip bench {{
    chain before {{
        type filter hook prerouting priority raw
        udp dport {PORT}-{PORT + 1000} drop
    }}
}}
"""
NETWORK = IPv4Address("198.19.0.0")  # the clients' addresses are in this /16 (RFC 2544: benchmarks)
_PORTS = range(1024, 1024 + 50_000)  # of each client address
_DATA = bytes(18)
_PACKET, _QDISC_BYPASS = 263, 20  # SOL_PACKET, PACKET_QDISC_BYPASS (packet(7))
_AT_ONCE = 1000  # frames between two looks at the clock


def drop_all(testbed: Testbed) -> None:
    """Make the server's kernel drop the packets after its interface has counted them. Raises BuildFailed."""
    testbed.run("s", "nft", "-f", "-", text=_DROP)


@dataclass(slots=True)
class Clients:
    testbed: Testbed
    _process: subprocess.Popen[str]
    _counter: str  # file with the number of packets that the server has received

    def rate(self, seconds: float = 0) -> float:
        """Packets per second that arrive at the server in `seconds`. Raises BuildFailed."""
        assert self._process.stdin
        before = self._received()
        print(seconds, file=self._process.stdin, flush=True)
        took = float(json.loads(self.next_line())["seconds"])
        return (self._received() - before) / took

    def next_line(self) -> str:
        """The next line of the program's output. Raises BuildFailed."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise BuildFailed("The sender of packets (bench.many_clients) has ended.")
        return line

    def _received(self) -> int:
        return int(self.testbed.run("s", "cat", self._counter))


@contextmanager
def clients(testbed: Testbed, number: int, *, first: int = 0, ports: int = 1) -> Iterator[Clients]:
    """`number` clients, starting with client `first`, that send to `ports` ports in turn."""
    interface, host, ingress = ("c-d", "d", "s-d") if testbed.method else ("c-s", "s", "s-c")
    peer = "-".join(reversed(interface.split("-")))
    numbers = (str(PORT), str(ports), str(first), str(number))
    words = (interface, testbed.mac(host, peer), testbed.target, *numbers)
    process = subprocess.Popen(
        ["ip", "netns", "exec", testbed.namespace("c"), sys.executable, "-m", "bench.many_clients", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        started = Clients(testbed, process, f"/sys/class/net/{ingress}/statistics/rx_packets")
        started.next_line()
        yield started
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait()


# ---- the program on the client host ----


def frames(source: bytes, dest: bytes, address: str, ports: range, clients: range) -> list[bytes]:
    """A frame of each client: Ethernet, 60 bytes, without a UDP checksum. `source`, `dest`: MAC addresses."""
    suffixes = [struct.pack("!HHH", port, 8 + len(_DATA), 0) + _DATA for port in ports]
    sources = [struct.pack("!H", port) for port in _PORTS]
    made: list[bytes] = []
    for number in range(clients.start // len(_PORTS), (clients.stop - 1) // len(_PORTS) + 1):
        header = dest + source + b"\x08\x00" + _ip_header(NETWORK + 1 + number, IPv4Address(address))
        begin = number * len(_PORTS)
        own = range(max(clients.start, begin) - begin, min(clients.stop, begin + len(_PORTS)) - begin)
        made += [header + sources[at] + suffixes[(begin + at) % len(suffixes)] for at in own]
    return made


def _ip_header(source: IPv4Address, destination: IPv4Address) -> bytes:
    """An IPv4 header with its checksum (RFC 791)."""
    length = 20 + 8 + len(_DATA)
    start = struct.pack("!BBHHHBB", 0x45, 0, length, 0, 0, 64, socket.IPPROTO_UDP)
    addresses = source.packed + destination.packed
    total = sum(struct.unpack("!9H", start[:8] + start[8:] + addresses))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return start + struct.pack("!H", ~total & 0xFFFF) + addresses


def send(wire: socket.socket, made: Sequence[bytes], seconds: float) -> dict[str, float]:
    """Send every frame once, then repeat from the first until the time is over."""
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
