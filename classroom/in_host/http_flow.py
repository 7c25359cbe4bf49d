"""Download without pause and count: `http_flow.py ADDRESS PORT COUNT PATH WARM SECONDS` prints JSON.

Opens COUNT connections one after the other, requests PATH on each, waits WARM seconds and counts for
SECONDS: `bytes`, those that arrived meanwhile, `seconds`, how long that was, and `receiving`, the number of
connections on which something arrived.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time

_CHUNK = 65536
_WINDOW = 8192  # bytes, which Linux doubles: the queue of a slow link stays short, so nothing is sent twice
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
    began = time.monotonic()
    received = _receive(selector, float(seconds))
    result = {
        "bytes": sum(received.values()),
        "seconds": time.monotonic() - began,
        "receiving": len(received),
    }
    print(json.dumps(result))


def _receive(selector: selectors.BaseSelector, seconds: float) -> dict[int, int]:
    """Bytes by descriptor, for that long."""
    received: dict[int, int] = {}
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and selector.get_map():
        for key, _ in selector.select(left):
            try:
                data = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
            except OSError:
                data = b""
            if data:
                received[key.fd] = received.get(key.fd, 0) + len(data)
            else:
                selector.unregister(key.fileobj)
    return received


if __name__ == "__main__":
    main(*sys.argv[1:])
