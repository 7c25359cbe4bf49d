"""A client's connection that stays open, for the trials of a director (director_net.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.labs.director_net import VIP

CLIENT = Path(__file__).with_name("trial_client.py")


class Held:
    """A client's connection that is kept, and used again and again: `hold` or `ftp` of trial_client.py."""

    def __init__(self, kind: str = "hold", port: int = 80) -> None:
        command = ("ip", "netns", "exec", "c", sys.executable, "-S", str(CLIENT), kind, VIP, str(port))
        self._client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what: str = "again", meanwhile: Callable[[], object] = lambda: None) -> str:
        """The server's answer (of `hold`, its name), or what went wrong."""
        assert self._client.stdin
        assert self._client.stdout
        print(what, file=self._client.stdin, flush=True)
        meanwhile()
        return str(json.loads(self._client.stdout.readline()))

    def close(self) -> None:
        self._client.communicate()


@contextmanager
def held(kind: str = "hold", port: int = 80) -> Iterator[Held]:
    connection = Held(kind, port)
    try:
        yield connection
    finally:
        connection.close()
