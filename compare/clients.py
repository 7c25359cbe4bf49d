"""Clients that download until killed: `clients.py HOST CONNECTIONS PATH SECONDS`, on a client host.

Keeps that many downloads going, replacing each connection that ends or fails, and prints a line of JSON ten
times a second: the time, and the bytes that have arrived so far. The first connections are opened one after
another within SECONDS: all at once, they would fill a queue faster than TCP's retransmission timers adapt.
It runs on a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time

_EVERY = 0.1  # seconds between two lines of output
_AGAIN = 0.5  # seconds after which a failed connection is tried again
_CHUNK = 65536
# Linux doubles this to a window of some 8 kB, as in 1999: any number of clients that share a link fill its
# queue without overflowing it, so that the link is measured and not TCP's retransmissions.
_WINDOW = 4096


class Load:
    def __init__(self, host: str, connections: int, path: str, seconds: float) -> None:
        self._address = (host, 80)
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        site = f"[{host}]" if ":" in host else host
        self._request = f"GET {path} HTTP/1.1\r\nHost: {site}\r\nConnection: close\r\n\r\n".encode()
        self._selector = selectors.DefaultSelector()
        now = time.monotonic()
        self._due = [now + seconds * place / connections for place in range(connections)]  # times to connect
        self._delivering: set[int] = set()  # descriptors that have received something
        self._bytes = self._failed = 0

    def run(self) -> None:
        print_at = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= print_at:
                self._print_sample(now)
                print_at += _EVERY
            self._open(now)
            for key, _ in self._selector.select(self._pause(print_at)):
                self._continue(key)

    def _pause(self, print_at: float) -> float:
        """Seconds until there is something to do, unless data arrives."""
        return max(0.0, min([print_at, *self._due]) - time.monotonic())

    def _print_sample(self, now: float) -> None:
        sample = {
            "at": now,
            "bytes": self._bytes,
            "delivering": len(self._delivering),
            "failed": self._failed,
        }
        print(json.dumps(sample), flush=True)

    def _open(self, now: float) -> None:
        for _ in [at for at in self._due if at <= now]:
            connection = socket.socket(self._family)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
            connection.setblocking(False)
            connection.connect_ex(self._address)  # the first write reports errors
            self._selector.register(connection, selectors.EVENT_WRITE, True)
        self._due = [at for at in self._due if at > now]

    def _continue(self, key: selectors.SelectorKey) -> None:
        connection = key.fileobj
        assert isinstance(connection, socket.socket)
        try:
            if key.data:
                connection.send(self._request)
                self._selector.modify(connection, selectors.EVENT_READ, False)
                return
            received = len(connection.recv(_CHUNK))
        except OSError:
            self._failed += 1
            self._close(connection, _AGAIN)
            return
        if received:
            self._bytes += received
            self._delivering.add(connection.fileno())
        else:
            self._close(connection, 0)

    def _close(self, connection: socket.socket, pause: float) -> None:
        self._delivering.discard(connection.fileno())
        self._selector.unregister(connection)
        connection.close()
        self._due.append(time.monotonic() + pause)


if __name__ == "__main__":
    Load(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])).run()
