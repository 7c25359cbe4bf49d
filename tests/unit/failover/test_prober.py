"""The client that measures how long there is no answer: an echo that is silent for a while."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from labs.wait import poll_until

ROOT = Path(__file__).resolve().parents[3]


class Echo:
    def __init__(self) -> None:
        self.answers = Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            data, client = self.socket.recvfrom(100)
            if data == b"end":
                return
            if self.answers.is_set():
                self.socket.sendto(data, client)


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.socket.sendto(b"end", made.socket.getsockname())


def test_the_longest_silence_is_found(echo: Echo) -> None:
    address, port = echo.socket.getsockname()
    command = [sys.executable, "-m", "failover.prober", address, str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as prober:

        def report() -> Any:
            assert prober.stdin is not None
            assert prober.stdout is not None
            prober.stdin.write("report\n")
            prober.stdin.flush()
            return json.loads(prober.stdout.readline())

        echo.answers.set()
        assert poll_until(report, lambda answer: answer["answered"] > 20, 20)["answered"] > 20
        assert prober.stdin is not None
        prober.stdin.write("begin\n")
        before = poll_until(report, lambda answer: answer["answered"] > 20, 20)
        echo.answers.clear()
        silent_from = time.monotonic()
        held = poll_until(report, lambda _: time.monotonic() > silent_from + 0.5, 20)
        silent_to = time.monotonic()
        echo.answers.set()
        after = poll_until(report, lambda answer: answer["last"] > silent_to, 20)
        prober.stdin.close()
    assert held["gap"] >= before["gap"]
    assert after["gap"] >= silent_to - silent_from - (held["last"] - silent_from)
    assert after["began"] == held["last"]
