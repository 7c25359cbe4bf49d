"""Clients that never have enough: `load.py HOST CONNECTIONS PATH SECONDS`, on a client host of the lab.

Keeps so many downloads going, by a new connection for each that ends or fails, and prints a line of
JSON ten times a second until it is ended: the time, and what has arrived so far. The first connections
are opened one by one within SECONDS: were it all at once, a queue would grow faster than TCP's timers.
Runs inside a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time

_EVERY = 0.1  # seconds between two lines
_AGAIN = 0.5  # seconds after which a failed connection is tried again
_CHUNK = 65536
# A window of some 8 kB, as systems of 1999 had it: however many clients share a link, they fill its
# queue but do not overflow it, so that what is measured is the link and not TCP's repairs.
_WINDOW = 4096


class Load:
    def __init__(self, host: str, connections: int, path: str, seconds: float) -> None:
        self._address = (host, 80)
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        self._selector = selectors.DefaultSelector()
        now = time.monotonic()  # below: when connections that are not there are to be opened
        self._due = [now + seconds * place / connections for place in range(connections)]
        self._delivering: set[int] = set()  # descriptors that have received something
        self._bytes = self._failed = 0

    def run(self) -> None:
        say_at = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= say_at:
                self._say(now)
                say_at += _EVERY
            self._open(now)
            for key, _ in self._selector.select(self._pause(say_at)):
                self._go_on(key)

    def _pause(self, say_at: float) -> float:
        """How long there is nothing to do unless something arrives."""
        return max(0.0, min([say_at, *self._due]) - time.monotonic())

    def _say(self, now: float) -> None:
        sample = {
            "at": now,
            "bytes": self._bytes,
            "delivering": len(self._delivering),
            "failed": self._failed,
        }
        print(json.dumps(sample), flush=True)

    def _open(self, now: float) -> None:
        for _ in [at for at in self._due if at <= now]:
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
            one.setblocking(False)
            one.connect_ex(self._address)  # what comes of it shows when it is written to
            self._selector.register(one, selectors.EVENT_WRITE, True)
        self._due = [at for at in self._due if at > now]

    def _go_on(self, key: selectors.SelectorKey) -> None:
        one = key.fileobj
        assert isinstance(one, socket.socket)
        try:
            if key.data:
                one.send(self._request)
                self._selector.modify(one, selectors.EVENT_READ, False)
                return
            received = len(one.recv(_CHUNK))
        except OSError:
            self._failed += 1
            self._close(one, _AGAIN)
            return
        if received:
            self._bytes += received
            self._delivering.add(one.fileno())
        else:
            self._close(one, 0)

    def _close(self, one: socket.socket, again: float) -> None:
        self._delivering.discard(one.fileno())
        self._selector.unregister(one)
        one.close()
        self._due.append(time.monotonic() + again)


if __name__ == "__main__":
    Load(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])).run()
