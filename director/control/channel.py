"""A Unix socket that carries one request and one answer, each a line of JSON.

The director and the OpenFlow controller both listen on one (listener.py); ippfvsadm, the labs and every
later client call it. It knows lines and sockets, and nothing of what the requests mean.
Only the standard library is imported, and little of it: ippfvsadm starts once per rule.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]

LARGEST = 64 * 1024 * 1024  # bytes of one line: a table of a million connections, and no more
SILENCE = 60.0  # seconds that a caller waits for an answer: a hundred thousand servers take some

_LOOK = 0.5  # seconds between two looks of a caller


class ChannelError(Exception):
    """The other side can't be reached, or does not speak lines of JSON."""


def call(
    path: str, request: Message, timeout: float = SILENCE, look: Callable[[], None] | None = None
) -> Message:
    """Send `request` to the listener at `path` and return its answer.

    `timeout` is in seconds without a sign of life. While there is none, `look` is called now and then, and
    may raise what it likes. Raises ChannelError.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(timeout)
        try:
            peer.connect(path)
            peer.sendall(encode_line(request))
            if look:
                _wait(peer, timeout, look)
            return _read(peer)
        except (OSError, ValueError) as error:
            raise ChannelError(
                f"no answer on {path} ({error}): is the process that owns it running?"
            ) from None


def encode_line(message: Message) -> bytes:
    """A message as it is sent."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _wait(peer: socket.socket, timeout: float, look: Callable[[], None]) -> None:
    deadline = time.monotonic() + timeout
    while not select.select([peer], [], [], _LOOK)[0]:
        look()
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")


def _read(peer: socket.socket) -> Message:
    line = bytearray()
    while not line.endswith(b"\n"):
        part = peer.recv(65536)
        if not part or len(line) > LARGEST:
            break
        line += part
    return decode_line(bytes(line))


def decode_line(line: bytes) -> Message:
    """A message as it was received. Raises ValueError."""
    if not line.endswith(b"\n") or len(line) > LARGEST:
        raise ValueError("the line ended early or is too long")
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("too deeply nested") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message
