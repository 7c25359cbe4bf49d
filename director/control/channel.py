"""One request and one answer over a Unix socket, each a message: a JSON object on a line.

A long message takes several lines. All but the last begin with a plus sign, and the receiver merges them:
lists are concatenated, and a line with `"in": ["services", -1]` is merged into that part of the whole. A
line `+{}` is a keepalive from a listener that is still working. So a listing needs memory for a few rows at
a time, and neither side stops for long to read a request or to write an answer.

The director and the OpenFlow controller listen (listener.py); the administration tools and the labs call.
The channel knows lines and sockets, not what the requests mean. It imports little of the standard library,
because a set-up script starts a tool once per rule.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

Message = dict[str, Any]

MAX_LINE = 160_000  # bytes, which are decoded at once
MAX_REQUEST = 64 * 1024 * 1024  # bytes: 400,000 real servers
ROWS_PER_LINE = 100  # of a list
TIMEOUT = 60.0  # seconds without a line
MORE, KEEPALIVE = b"+", b"+{}\n"

_POLL = 0.5  # seconds between two calls of `while_waiting`
_CHUNK = 65536  # bytes


class ChannelError(Exception):
    """No answer, or one that is not lines of JSON; `cause` is the underlying error, if any."""

    def __init__(self, sentence: str, cause: Exception | None = None) -> None:
        super().__init__(sentence)
        self.cause = cause


def call(
    path: str, request: Message, timeout: float | None = None, while_waiting: Callable[[], None] | None = None
) -> Message:
    """Send `request` to the listener on `path` and return its answer.

    `timeout` is in seconds without a line, TIMEOUT by default. Meanwhile `while_waiting` is called every half
    second and may raise any exception. Raises ChannelError.
    """
    answer: Message = {}
    for part in stream(path, request, timeout, while_waiting):
        merge(answer, part)
    return answer


def stream(
    path: str, request: Message, timeout: float | None = None, while_waiting: Callable[[], None] | None = None
) -> Iterator[Message]:
    """The same, but yields the parts of the answer as they arrive; `merge` puts them together."""
    seconds = TIMEOUT if timeout is None else timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(seconds)
        try:
            peer.connect(path)
            for line in encode(request):
                peer.sendall(line)
            for line in _lines(peer, seconds, while_waiting):
                if line != KEEPALIVE:
                    yield decode_line(line.removeprefix(MORE))
        except (OSError, ValueError) as error:
            raise ChannelError(
                f"no answer on {path} ({error}): is the process that owns it running?", error
            ) from None


def _lines(peer: socket.socket, timeout: float, while_waiting: Callable[[], None] | None) -> Iterator[bytes]:
    """The lines of one message. Raises OSError, ValueError, and whatever `while_waiting` raises."""
    line = bytearray()
    while True:
        if while_waiting:
            _wait(peer, timeout, while_waiting)
        chunk = peer.recv(_CHUNK)
        if not chunk:
            raise ValueError("it ended early")
        *ends, chunk = chunk.split(b"\n")
        for end in ends:
            whole = bytes(line + end) + b"\n"
            line.clear()
            yield whole
            if not whole.startswith(MORE):
                return
        line += chunk


def _wait(peer: socket.socket, timeout: float, while_waiting: Callable[[], None]) -> None:
    deadline = time.monotonic() + timeout
    while not select.select([peer], [], [], _POLL)[0]:
        while_waiting()
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")


def encode(message: Message) -> Iterator[bytes]:
    """The lines of a message: long lists some items at a time, everything else on the last line."""
    rest: Message = {}
    for name, value in message.items():
        if not isinstance(value, list) or len(value) <= ROWS_PER_LINE:
            rest[name] = value
            continue
        for start in range(0, len(value), ROWS_PER_LINE):
            yield MORE + encode_line({name: value[start : start + ROWS_PER_LINE]})
    yield encode_line(rest)


def merge(whole: Message, part: Message) -> None:
    """Add a part of a message to the parts before it."""
    for name in part.pop("in", ()):
        whole = whole[name]
    for name, value in part.items():
        if isinstance(value, list):
            whole.setdefault(name, []).extend(value)
        else:
            whole[name] = value


def encode_line(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> Message:
    """Raises ValueError."""
    if not line.endswith(b"\n"):
        raise ValueError("the line ended early or is too long")
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("too deeply nested") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message
