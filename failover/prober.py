"""A client that asks each millisecond: `prober.py VIP PORT`; for how long does it get no answer?

Reads a line, `begin` or `report`, and answers the second with a line of JSON about the time since the first:
`gap` the longest time between two answers and `began` when that was, `pause` the longest time between two
questions, `answered` how many, and `last` the time of the last one. Times are those of CLOCK_MONOTONIC, in
seconds. It runs on a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import time

EVERY = 0.001  # seconds


class Prober:
    def __init__(self, vip: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect((vip, port))
        self._begin(time.monotonic())

    def _begin(self, now: float) -> None:
        self._gap, self._began, self._last = 0.0, now, now
        self._pause, self._asked = 0.0, now
        self._answered = 0

    def run(self) -> None:
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= due:
                self._ask(now)
                due = max(due + EVERY, now)
            ready, _, _ = select.select([self._socket, sys.stdin], [], [], max(0.0, due - time.monotonic()))
            if self._socket in ready:
                self._answers()
            if sys.stdin in ready:
                words = os.read(sys.stdin.fileno(), 1000).decode()  # unbuffered: select must see what is left
                if not words:
                    return
                for word in words.split():
                    self._obey(word)

    def _ask(self, now: float) -> None:
        self._pause = max(self._pause, now - self._asked)
        self._asked = now
        with contextlib.suppress(OSError):  # no way there: that is what is measured
            self._socket.send(b"?")

    def _answers(self) -> None:
        now = time.monotonic()
        with contextlib.suppress(OSError):
            while self._socket.recv(16):
                self._answered += 1
                if now - self._last > self._gap:
                    self._gap, self._began = now - self._last, self._last
                self._last = now

    def _obey(self, word: str) -> None:
        if word == "begin":
            self._begin(time.monotonic())
        elif word == "report":
            names = ("gap", "began", "pause", "answered", "last")
            print(json.dumps({name: getattr(self, f"_{name}") for name in names}), flush=True)


if __name__ == "__main__":
    Prober(sys.argv[1], int(sys.argv[2])).run()
