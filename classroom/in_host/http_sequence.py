"""Ask for /name on one connection after the other: `ask_in_turn.py ADDRESS SECONDS JSON` prints JSON.

JSON is a list of plays [PORT, [[LOCAL_PORT, STAYS], ...]]: a connection that does not stay is closed before
the next one is opened, the others when their play is over. For each play a list: the server's name, or that
of an errno, ETIMEDOUT also after SECONDS of silence. With the first failure all ends: the plays after it are
empty. Runs inside a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
from contextlib import ExitStack

_REQUEST = b"GET /name HTTP/1.1\r\nHost: vip\r\n\r\n"


class Failed(Exception):
    """A connection that came to nothing; its play as far as it came, with the name of the errno."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names[-1])
        self.names = names


def play(address: str, port: int, steps: list[list[int]], seconds: float) -> list[str]:
    """Raises Failed."""
    names: list[str] = []
    with ExitStack() as open_ones:
        for local, stays in steps:
            try:
                peer = opened((address, port), local, seconds)
                open_ones.callback(peer.close)
                names.append(name_from(peer))
            except OSError as error:
                code = "ETIMEDOUT" if isinstance(error, TimeoutError) else _code(error)
                raise Failed([*names, code]) from None
            if not stays:
                peer.close()
    return names


def opened(there: tuple[str, int], local: int, seconds: float) -> socket.socket:
    """Bound: two connections from one port to two services would be one to the real server behind both."""
    peer = socket.socket()
    peer.settimeout(seconds)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        peer.bind(("", local))
        peer.connect(there)
    except OSError:
        peer.close()
        raise
    return peer


def name_from(peer: socket.socket) -> str:
    """What the server says; the connection stays open."""
    peer.sendall(_REQUEST)
    answer = b""
    while True:
        more = peer.recv(4096)
        answer += more
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            return body.decode("latin-1").strip()
        if not more:
            raise OSError(errno.ECONNRESET, "closed in the middle of an answer")


def _length(head: bytes) -> int:
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(fields.get(b"content-length", b"0"))


def _code(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))


def main(address: str, seconds: str, plays: str) -> None:
    todo = json.loads(plays)
    found: list[list[str]] = []
    try:
        for port, steps in todo:
            found.append(play(address, port, steps, float(seconds)))
    except Failed as failed:
        found.append(failed.names)
    print(json.dumps(found + [[]] * (len(todo) - len(found))))


if __name__ == "__main__":
    main(*sys.argv[1:])
