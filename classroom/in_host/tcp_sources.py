"""Whose TCP packets come in on an interface: `watch_sources.py INTERFACE SECONDS`.

Prints a line once it watches; on SIGUSR1, or when SECONDS have passed, it prints how many packets came from
each IPv4 address, as JSON. Runs inside a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator

_IPV4, _ETHERNET, _TCP = 0x0800, 14, 6
_BUFFER = 4 * 1024 * 1024  # bytes: all that comes is taken out only at the end
_ENOUGH = {signal.SIGUSR1}


def packets(wire: socket.socket) -> Iterator[bytes]:
    """The IP packets that have come in so far."""
    wire.setblocking(False)
    while True:
        try:
            frame, address = wire.recvfrom(128)
        except BlockingIOError:
            return
        if address[2] != socket.PACKET_OUTGOING:
            yield frame[_ETHERNET:]


def main(interface: str, seconds: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENOUGH)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IPV4)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        wire.bind((interface, _IPV4))
        print("watching", flush=True)
        signal.sigtimedwait(_ENOUGH, float(seconds))
        sources = Counter(socket.inet_ntoa(packet[12:16]) for packet in packets(wire) if packet[9] == _TCP)
    print(json.dumps(sources))


if __name__ == "__main__":
    main(*sys.argv[1:])
