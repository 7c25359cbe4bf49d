"""A client that sends a request each millisecond and measures gaps in the answers: `prober.py VIP PORT`.

It reads lines, `begin` or `report`, and answers `report` with a line of JSON about the time since `begin`:
`gap`, the longest time between two answers, and `began`, its start; `pause`, the longest time between two
requests; `answered`, the number of answers; `last`, the time of the last one. Times are those of
CLOCK_MONOTONIC, in seconds. It runs on a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import time

INTERVAL = 0.001  # seconds


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
                due = max(due + INTERVAL, now)
            ready, _, _ = select.select([self._socket, sys.stdin], [], [], max(0.0, due - time.monotonic()))
            if self._socket in ready:
                self._answers()
            if sys.stdin in ready:
                words = os.read(sys.stdin.fileno(), 1000).decode()  # unbuffered: select must see what is left
                if not words:
                    return
                for word in words.split():
                    self._execute(word)

    def _ask(self, now: float) -> None:
        self._pause = max(self._pause, now - self._asked)
        self._asked = now
        with contextlib.suppress(OSError):  # no route or carrier: part of the blackout
            self._socket.send(b"?")

    def _answers(self) -> None:
        now = time.monotonic()
        with contextlib.suppress(OSError):
            while self._socket.recv(16):
                self._answered += 1
                if now - self._last > self._gap:
                    self._gap, self._began = now - self._last, self._last
                self._last = now

    def _execute(self, word: str) -> None:
        if word == "begin":
            self._begin(time.monotonic())
        elif word == "report":
            names = ("gap", "began", "pause", "answered", "last")
            print(json.dumps({name: getattr(self, f"_{name}") for name in names}), flush=True)


if __name__ == "__main__":
    Prober(sys.argv[1], int(sys.argv[2])).run()
