"""Count TCP packets received on an interface by source address: `tcp_sources.py INTERFACE SECONDS`.

Prints a line once it captures; on SIGUSR1, or after SECONDS, it prints the number of packets from each IPv4
address, as JSON.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator

_IPV4, _ETHERNET, _TCP = 0x0800, 14, 6
_BUFFER = 4 * 1024 * 1024  # bytes: the packets are read only at the end
_STOP = {signal.SIGUSR1}


def packets(wire: socket.socket) -> Iterator[bytes]:
    """The IP packets received so far."""
    wire.setblocking(False)
    while True:
        try:
            frame, address = wire.recvfrom(128)
        except BlockingIOError:
            return
        if address[2] != socket.PACKET_OUTGOING:
            yield frame[_ETHERNET:]


def main(interface: str, seconds: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IPV4)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        wire.bind((interface, _IPV4))
        print("capturing", flush=True)
        signal.sigtimedwait(_STOP, float(seconds))
        sources = Counter(socket.inet_ntoa(packet[12:16]) for packet in packets(wire) if packet[9] == _TCP)
    print(json.dumps(sources))


if __name__ == "__main__":
    main(*sys.argv[1:])
