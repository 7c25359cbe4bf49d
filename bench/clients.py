"""Many clients of a testbed at once, and how many of their packets the server gets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.testbed import Testbed
from labs.errors import BuildFailed

PORT = 1000  # that they ask for, and those that follow
_SINK = f"""table ip sink {{
    chain sink {{
        type filter hook prerouting priority raw
        udp dport {PORT}-{PORT + 1000} drop
    }}
}}
"""


def drop_all(testbed: Testbed) -> None:
    """The server's kernel drops what it gets from them, once it is counted. Raises BuildFailed."""
    testbed.run("s", "nft", "-f", "-", text=_SINK)


@dataclass(slots=True)
class Clients:
    testbed: Testbed
    _process: subprocess.Popen[str]
    _counter: str

    def rate(self, seconds: float = 0) -> float:
        """Packets a second that have arrived, each client having sent at least one. Raises BuildFailed."""
        assert self._process.stdin
        before = self._received()
        print(seconds, file=self._process.stdin, flush=True)
        took = float(json.loads(self.says())["seconds"])
        return (self._received() - before) / took

    def says(self) -> str:
        """Its next line. Raises BuildFailed."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise BuildFailed("The sender of packets (bench.sender) has ended.")
        return line

    def _received(self) -> int:
        return int(self.testbed.run("s", "cat", self._counter))


@contextmanager
def clients(testbed: Testbed, number: int, *, first: int = 0, ports: int = 1) -> Iterator[Clients]:
    """`number` of them, of which the first is client `first`; they ask for `ports` ports in turn."""
    through = ("c-d", "d", "s-d") if testbed.method else ("c-s", "s", "s-c")
    interface, host, into = through
    far = "-".join(reversed(interface.split("-")))
    words = (
        interface,
        testbed.mac(host, far),
        testbed.target,
        str(PORT),
        str(ports),
        str(first),
        str(number),
    )
    process = subprocess.Popen(
        ["ip", "netns", "exec", testbed.namespace("c"), sys.executable, "-m", "bench.sender", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        many = Clients(testbed, process, f"/sys/class/net/{into}/statistics/rx_packets")
        many.says()
        yield many
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait()
