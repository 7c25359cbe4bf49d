"""A Unix socket that carries one request and one answer, each a message: a line of JSON, an object.

A long message comes in several lines. Each but the last begins with a plus sign, and they are put together:
lists are joined, and a line with `"in": ["services", -1]` belongs to what is there. A line `+{}` says that
whoever answers is still at work. So a listing needs no more memory than a few of its rows, and nobody has to
stop for long to read a request or to write an answer.

The director and the OpenFlow controller both listen on one (listener.py); ippfvsadm, the labs and every
later client call it. It knows lines and sockets, and nothing of what the requests mean.
Only the standard library is imported, and little of it: ippfvsadm starts once per rule.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

Message = dict[str, Any]

LONGEST = 160_000  # bytes of a line: all that is decoded at once
LARGEST = 64 * 1024 * 1024  # bytes of a request: 400,000 real servers
ROWS = 100  # of a list in one line
SILENCE = 60.0  # seconds that a caller waits for a sign of life
MORE, STILL_AT_WORK = b"+", b"+{}\n"

_LOOK = 0.5  # seconds between two looks of a caller
_AT_ONCE = 65536  # bytes


class ChannelError(Exception):
    """The other side can't be reached, or does not speak lines of JSON."""


def call(
    path: str, request: Message, timeout: float = SILENCE, look: Callable[[], None] | None = None
) -> Message:
    """Send `request` to the listener at `path` and return its answer.

    `timeout` is in seconds without a sign of life. While there is none, `look` is called now and then, and
    may raise what it likes. Raises ChannelError.
    """
    answer: Message = {}
    for part in stream(path, request, timeout, look):
        join(answer, part)
    return answer


def stream(
    path: str, request: Message, timeout: float = SILENCE, look: Callable[[], None] | None = None
) -> Iterator[Message]:
    """The same, but the answer is given in parts as they come; `join` makes a whole of them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(timeout)
        try:
            peer.connect(path)
            for line in lines_of(request):
                peer.sendall(line)
            for line in _lines(peer, timeout, look):
                if line != STILL_AT_WORK:
                    yield decode_line(line.removeprefix(MORE))
        except (OSError, ValueError) as error:
            raise ChannelError(
                f"no answer on {path} ({error}): is the process that owns it running?"
            ) from None


def _lines(peer: socket.socket, timeout: float, look: Callable[[], None] | None) -> Iterator[bytes]:
    """All of a message, or TimeoutError, ValueError, or what `look` raises."""
    line = bytearray()
    while True:
        if look:
            _wait(peer, timeout, look)
        part = peer.recv(_AT_ONCE)
        if not part:
            raise ValueError("it ended early")
        *ends, part = part.split(b"\n")
        for end in ends:
            whole = bytes(line + end) + b"\n"
            line.clear()
            yield whole
            if not whole.startswith(MORE):
                return
        line += part


def _wait(peer: socket.socket, timeout: float, look: Callable[[], None]) -> None:
    deadline = time.monotonic() + timeout
    while not select.select([peer], [], [], _LOOK)[0]:
        look()
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")


def lines_of(message: Message) -> Iterator[bytes]:
    """A message as it is sent: its long lists some items at a time, and the rest in the last line."""
    rest: Message = {}
    for name, value in message.items():
        if not isinstance(value, list) or len(value) <= ROWS:
            rest[name] = value
            continue
        for start in range(0, len(value), ROWS):
            yield MORE + encode_line({name: value[start : start + ROWS]})
    yield encode_line(rest)


def join(whole: Message, part: Message) -> None:
    """Put a part to those before it."""
    for name in part.pop("in", ()):
        whole = whole[name]
    for name, value in part.items():
        if isinstance(value, list):
            whole.setdefault(name, []).extend(value)
        else:
            whole[name] = value


def encode_line(message: Message) -> bytes:
    """A message, or a part of one, as it is sent."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> Message:
    """A message as it was received. Raises ValueError."""
    if not line.endswith(b"\n"):
        raise ValueError("the line ended early or is too long")
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("too deeply nested") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message
