"""A Unix socket that carries one request and one answer, each a line of JSON.

The director and the OpenFlow controller both listen on one; ippfvsadm, the labs and every
later client call it. It knows lines and sockets, and nothing of what the requests mean.
Only the standard library is imported, and little of it: ippfvsadm starts once per rule.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]

LARGEST = 64 * 1024 * 1024  # bytes of one line: a table of a million connections, and no more
PATIENCE = 5.0  # seconds a peer may take over one line


class ChannelError(Exception):
    """The other side can't be reached, or does not speak lines of JSON."""


def call(path: str, request: Message, timeout: float = PATIENCE) -> Message:
    """Send `request` to the listener at `path` and return its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(timeout)
        try:
            peer.connect(path)
            peer.sendall(_encode(request))
            return _read(peer)
        except (OSError, ValueError) as error:
            raise ChannelError(
                f"no answer on {path} ({error}): is the process that owns it running?"
            ) from None


class Listener:
    """Listens on `path` (mode 0600) and answers each request with `answer(request)`."""

    def __init__(self, path: str, answer: Callable[[Message], Message]) -> None:
        self.path = path
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(path).st_mode):  # left by a director that was killed
                os.unlink(path)
        before = os.umask(0o177)
        try:
            self._socket.bind(path)
        finally:
            os.umask(before)
        self._socket.listen(64)

    def fileno(self) -> int:
        return self._socket.fileno()

    def serve_one(self) -> None:
        """Take the next caller and answer it; one that hangs up is let go, one that talks nonsense told."""
        peer, _ = self._socket.accept()
        with peer:
            peer.settimeout(PATIENCE)
            try:
                request = _read(peer)
            except OSError:
                return
            except ValueError as error:
                answer: Message = {"ok": False, "error": f"expected one line with a JSON object: {error}."}
            else:
                answer = self._answer(request)
            with contextlib.suppress(OSError):
                peer.sendall(_encode(answer))

    def close(self) -> None:
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


def _encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _read(peer: socket.socket) -> Message:
    line = bytearray()
    while not line.endswith(b"\n"):
        part = peer.recv(65536)
        if not part or len(line) > LARGEST:
            raise ValueError("the line ended early or is too long")
        line += part
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("too deeply nested") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message
