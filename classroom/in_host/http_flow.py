"""Download continuously and measure: `http_flow.py ADDRESS PORT COUNT PATH WARM SECONDS` prints JSON.

Opens COUNT connections one after the other, requests PATH on each, waits WARM seconds and measures for
SECONDS: `bytes` that reached this host's network cards meanwhile, the actual `seconds`, and `receiving`, the
number of connections on which data arrived. The kernel counts the bytes, so delays of this process on a busy
machine do not matter.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time

_CHUNK = 65536
_WINDOW = 8192  # bytes, which Linux doubles: a slow link's queue stays short, without retransmissions
_CONNECT = 2.0  # seconds


def main(address: str, port: str, count: str, path: str, warm: str, seconds: str) -> None:
    selector = selectors.DefaultSelector()
    request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
    for _ in range(int(count)):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        connection.settimeout(_CONNECT)
        try:
            connection.connect((address, int(port)))
            connection.sendall(request)
        except OSError:
            continue
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
    _receive(selector, float(warm))
    before, began = _arrived(), time.monotonic()
    receiving = _receive(selector, float(seconds))
    after, ended = _arrived(), time.monotonic()
    print(json.dumps({"bytes": after - before, "seconds": ended - began, "receiving": len(receiving)}))


def _receive(selector: selectors.BaseSelector, seconds: float) -> set[int]:
    """Read for that long; returns the descriptors on which data arrived."""
    receiving: set[int] = set()
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and selector.get_map():
        for key, _ in selector.select(left):
            try:
                data = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
            except OSError:
                data = b""
            if data:
                receiving.add(key.fd)
            else:
                selector.unregister(key.fileobj)
    return receiving


def _arrived() -> int:
    """Bytes that all network cards have received so far, with their Ethernet headers (proc(5))."""
    with open("/proc/self/net/dev", encoding="ascii") as table:
        cards = (line.partition(":") for line in table if ":" in line)
        return sum(int(figures.split()[0]) for name, _, figures in cards if name.strip() != "lo")


if __name__ == "__main__":
    main(*sys.argv[1:])
