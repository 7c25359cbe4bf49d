"""Request /name on one connection after the other: `http_sequence.py ADDRESS SECONDS JSON` prints JSON.

JSON is a list of sequences [PORT, [[LOCAL_PORT, STAYS], ...]]: a connection that does not stay is closed
before the next one is opened, the others at the end of their sequence. The output has a list for each
sequence, of servers' names or names of errnos (ETIMEDOUT also after SECONDS without an answer). The first
failure ends everything: later sequences are empty.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
from contextlib import ExitStack

_REQUEST = b"GET /name HTTP/1.1\r\nHost: vip\r\n\r\n"


class Failed(Exception):
    """A connection failed; `names` are the sequence so far, ending with the name of the errno."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names[-1])
        self.names = names


def run_sequence(address: str, port: int, steps: list[list[int]], seconds: float) -> list[str]:
    """The answers to a sequence of connections. Raises Failed."""
    names: list[str] = []
    with ExitStack() as open_connections:
        for local, stays in steps:
            try:
                peer = opened((address, port), local, seconds)
                open_connections.callback(peer.close)
                names.append(name_from(peer))
            except OSError as error:
                code = "ETIMEDOUT" if isinstance(error, TimeoutError) else _code(error)
                raise Failed([*names, code]) from None
            if not stays:
                peer.close()
    return names


def opened(there: tuple[str, int], local: int, seconds: float) -> socket.socket:
    """A connection from port `local`: a real server of two services must not see the same port twice."""
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
    """The server's answer; the connection stays open."""
    peer.sendall(_REQUEST)
    answer = b""
    while True:
        more = peer.recv(4096)
        answer += more
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            return body.decode("latin-1").strip()
        if not more:
            raise OSError(errno.ECONNRESET, "closed before the end of the answer")


def _length(head: bytes) -> int:
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(fields.get(b"content-length", b"0"))


def _code(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))


def main(address: str, seconds: str, sequences: str) -> None:
    todo = json.loads(sequences)
    found: list[list[str]] = []
    try:
        for port, steps in todo:
            found.append(run_sequence(address, port, steps, float(seconds)))
    except Failed as failed:
        found.append(failed.names)
    print(json.dumps(found + [[]] * (len(todo) - len(found))))


if __name__ == "__main__":
    main(*sys.argv[1:])
