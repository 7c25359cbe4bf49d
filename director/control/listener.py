"""The listening end of a control socket: serves many clients at once, and never waits for one of them.

A director's packets and its administrators share one thread, so no step here takes long: each turn of the
event loop reads and writes what is ready, then does one slice of work for one client. A client that is
silent, slow or gone does not delay a packet, nor does a request or answer of any length.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import socket
import stat
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, DefaultSelector

from director.control.channel import (
    KEEPALIVE,
    MAX_LINE,
    MAX_REQUEST,
    MORE,
    Message,
    decode_line,
    encode,
    encode_line,
)

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
MAX_CLIENTS = 64  # at a time
_LONGEST_PATH = 107  # bytes: unix(7)
LINE_TIMEOUT = 5.0  # seconds for each line of a request
REPLY_TIMEOUT = 3600.0  # seconds in which a client takes nothing of its answer, as with a pager
SLICE = 100  # steps of work in one turn of the loop, at most
_SLICE_SECONDS = 0.001  # after which no further step begins
_CHUNK = 65536  # bytes read or written in one turn of the loop
_MAX_UNSENT = 4 * _CHUNK  # bytes of an answer

Steps = Generator[Message | None, None, None]
Answer = Callable[[Message], Message | Steps]
OnError = Callable[[Exception], None]


class Listener:
    """Listens on `path` (mode 0600) and answers each request with `answer(request)`.

    An answer is a message or a generator of steps: None after a step of work, or a part of the message
    (channel.py); the last part has "ok". The generator is closed when its client goes away. "parts" of a
    long request are decoded as `answer` iterates over them, which may raise ValueError.

    An unexpected exception in `answer` or a background task ends only that request or task, and is passed to
    `on_error`; without `on_error` it propagates.

    In an event loop: `register` the listener, call `work` in each turn, poll without waiting while it is
    `busy`, and call `expire` once per second. In a thread of its own: call `serve_one` again and again.
    Raises OSError if the socket cannot be created, with EADDRINUSE if another process listens on it.
    """

    def __init__(self, path: str, answer: Answer, on_error: OnError | None = None) -> None:
        self.path = path
        self._answer = answer
        self._on_error = on_error or _propagate
        self._clients: list[_Client] = []
        self._run_queue: deque[_Client | _BackgroundTask] = deque()
        self._selector: BaseSelector | None = None
        self._is_accepting = False
        self._socket = _listening(path)
        self._identity = _identity(path)

    def serve_one(self) -> None:
        """Accept the next client and serve it to the end."""
        peer, _ = self._socket.accept()
        peer.setblocking(False)
        run_queue: deque[_Client | _BackgroundTask] = deque()
        with DefaultSelector() as selector:
            client = _Client(peer, self._answer, self._on_error, selector, run_queue)
            while not client.done:
                left = 0.0 if run_queue else max(0.0, client.deadline - time.monotonic())
                for key, _ in selector.select(left):
                    key.data()
                if run_queue:
                    run_queue.popleft().work()
                client.expire(time.monotonic())

    def register(self, selector: BaseSelector) -> None:
        """Serve clients in the loop of `selector`, which calls the data of a key that is ready."""
        self._socket.setblocking(False)
        self._selector = selector
        self._set_accepting(True)

    def _set_accepting(self, wanted: bool) -> None:
        if self._selector is None or wanted == self._is_accepting:
            return
        self._is_accepting = wanted
        if wanted:
            self._selector.register(self._socket, EVENT_READ, self._accept)
        else:
            self._selector.unregister(self._socket)

    @property
    def busy(self) -> bool:
        """Whether work is waiting."""
        return bool(self._run_queue)

    def work(self) -> None:
        """Do one slice of the work of one client; the others take their turns after it."""
        if self._run_queue:
            self._run_queue.popleft().work()

    def run_in_background(self, steps: Iterator[None]) -> None:
        """Do these steps in slices, between those of the clients."""
        self._run_queue.append(_BackgroundTask(steps, self._on_error, self._run_queue))

    def expire(self) -> None:
        """Drop clients past their deadline, and send waiting ones a keepalive."""
        self._set_accepting(True)
        now = time.monotonic()
        for client in self._clients:
            client.expire(now)
            client.keep_alive()
        self._clients = [client for client in self._clients if not client.done]

    def _accept(self) -> None:
        try:
            peer, _ = self._socket.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED and not self._drop_idle():
                # Stop, so that not every turn of the loop fails here; `expire` starts it again.
                self._set_accepting(False)
            return  # otherwise the client has hung up
        peer.setblocking(False)
        self._clients = [client for client in self._clients if not client.done]
        if len(self._clients) >= MAX_CLIENTS and not self._drop_idle():
            peer.close()
            return
        assert self._selector
        self._clients.append(_Client(peer, self._answer, self._on_error, self._selector, self._run_queue))

    def _drop_idle(self) -> bool:
        """Make room: close the connection of the oldest idle client; False if all are being served."""
        for client in self._clients:
            if not client.done and not client.is_queued:
                client.close()
                return True
        return False

    def close(self) -> None:
        """Stop listening; a socket that another process has since put at this path stays."""
        for client in self._clients:
            client.close()
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            if _identity(self.path) == self._identity:
                os.unlink(self.path)


def _propagate(error: Exception) -> None:
    raise error


class _BackgroundTask:
    """Work without a client."""

    def __init__(
        self,
        steps: Iterator[None],
        on_error: OnError,
        run_queue: deque[_Client | _BackgroundTask],
    ) -> None:
        self._steps = steps
        self._on_error = on_error
        self._run_queue = run_queue

    def work(self) -> None:
        """Do one slice of it."""
        until = time.monotonic() + _SLICE_SECONDS
        for _ in range(SLICE):
            try:
                if next(self._steps, self) is self:
                    return
            except Exception as error:  # noqa: BLE001 (the process continues)
                self._on_error(error)
                return
            if time.monotonic() >= until:
                break
        self._run_queue.append(self)


class _Client:
    """One connection: it reads a request and writes the answer. No call blocks."""

    def __init__(
        self,
        peer: socket.socket,
        answer: Answer,
        on_error: OnError,
        selector: BaseSelector,
        run_queue: deque[_Client | _BackgroundTask],
    ) -> None:
        self.done = False
        self.deadline = time.monotonic() + LINE_TIMEOUT
        self._peer = peer
        self._answer = answer
        self._on_error = on_error
        self._selector = selector
        self._run_queue = run_queue
        self._events = 0
        self._line, self._size = b"", 0  # what has arrived of a line; bytes of the whole request
        self._parts: deque[bytes] = deque()
        self._reply: Iterator[bytes | None] | None = None  # lines, and None after a step of work
        self._out = bytearray()
        self._is_waiting = False
        self._wait_for(EVENT_READ)

    @property
    def is_queued(self) -> bool:
        """Whether there is work to do for it."""
        return self in self._run_queue

    def _wait_for(self, events: int) -> None:
        before, self._events = self._events, events
        if before and before != events:
            self._selector.unregister(self._peer)
        if events and before != events:
            self._selector.register(self._peer, events, self._ready)

    def _ready(self) -> None:
        try:
            if self._events == EVENT_READ:
                self._receive()
            else:
                self._send()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    # ---- the request ----

    def _receive(self) -> None:
        chunk = self._peer.recv(_CHUNK)
        self._size += len(chunk)
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            if not line.startswith(MORE) or len(line) > MAX_LINE:
                self._start_reply(line + b"\n")
                return
            self._parts.append(line[len(MORE) :] + b"\n")
            self.deadline = time.monotonic() + LINE_TIMEOUT
        if not chunk or len(self._line) > MAX_LINE or self._size > MAX_REQUEST:
            self._start_reply(self._line)

    def _start_reply(self, line: bytes) -> None:
        """The request is complete, or never will be."""
        self._reply = self._reply_lines(line)
        self._run_queue.append(self)
        self._wait_for(0)
        self.deadline = math.inf

    # ---- the answer ----

    def _reply_lines(self, line: bytes) -> Iterator[bytes | None]:
        try:
            answer = self._answer(_decode_request(line, self._parts))
        except ValueError as error:
            answer = {"ok": False, "error": f"expected one line with a JSON object: {error}."}
        if isinstance(answer, dict):
            yield from encode(answer)
            return
        with contextlib.closing(answer):
            for part in answer:
                if part is None:
                    yield None
                else:
                    yield (b"" if "ok" in part else MORE) + encode_line(part)

    def work(self) -> None:
        """Do one slice of its work."""
        until = time.monotonic() + _SLICE_SECONDS
        for _ in range(SLICE):
            if self._reply is None or len(self._out) >= _MAX_UNSENT or time.monotonic() >= until:
                break
            line = self._next_line(self._reply)
            if line == b"":
                self._reply = None
            elif line:
                self._out += line
        if self._out:
            self._is_waiting = False
            self._wait_to_send()
        elif self._reply is None:
            self.close()
        if self._reply is not None and len(self._out) < _MAX_UNSENT:
            self._run_queue.append(self)

    def _next_line(self, reply: Iterator[bytes | None]) -> bytes | None:
        """None after a step of work, an empty line at the end."""
        try:
            return next(reply, b"")
        except Exception as error:  # noqa: BLE001 (it ends this request, not the process)
            self._on_error(error)
            what = f"{type(error).__name__}: {error}".rstrip(": .")
            return encode_line({"ok": False, "error": f"the request failed with an internal error ({what})."})

    def keep_alive(self) -> None:
        """Called every second: a client that has received nothing since the last call gets a keepalive."""
        is_waiting = self._reply is not None and not self._out
        if is_waiting and self._is_waiting:
            self._out += KEEPALIVE
            self._wait_to_send()
        self._is_waiting = is_waiting

    def _wait_to_send(self) -> None:
        self.deadline = time.monotonic() + REPLY_TIMEOUT
        self._wait_for(EVENT_WRITE)

    def _send(self) -> None:
        sent = self._peer.send(memoryview(self._out)[:_CHUNK])
        del self._out[:sent]
        self.deadline = time.monotonic() + REPLY_TIMEOUT
        if self._reply is not None:
            if len(self._out) < _MAX_UNSENT and not self.is_queued:
                self._run_queue.append(self)
            if not self._out:
                self._wait_for(0)
        elif not self._out:
            self.close()

    # ---- the end ----

    def expire(self, now: float) -> None:
        """Close it if it is past its deadline; what arrived while the loop was busy is not late."""
        if self.done or now < self.deadline:
            return
        self._ready()
        if not self.done and now >= self.deadline:
            self.close()

    def close(self) -> None:
        if self.done:
            return
        self.done = True
        self._wait_for(0)
        self._peer.close()
        self._reply = None
        if self.is_queued:
            self._run_queue.remove(self)


def _decode_request(line: bytes, parts: deque[bytes]) -> Message:
    """Raises ValueError."""
    if len(line) > MAX_LINE:
        raise ValueError("the line is too long")
    request = decode_line(line)
    request.pop("parts", None)
    if parts:
        request["parts"] = _decode_parts(parts)
    return request


def _decode_parts(parts: deque[bytes]) -> Iterator[Message]:
    while parts:
        yield decode_line(parts.popleft())


def _listening(path: str) -> socket.socket:
    """A socket that appears at `path` once it listens: others wait for the file, and connect at once.

    Raises OSError.
    """
    _remove_stale(path)
    new = f"{path}~" if len(os.fsencode(path)) < _LONGEST_PATH else path
    if new != path:
        _remove_stale(new)
        if os.path.lexists(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(new)
        listening.listen(MAX_CLIENTS)
        os.rename(new, path)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that was killed. Raises OSError where a process listens on it."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return  # bind(2) will say that the name is taken
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.settimeout(LINE_TIMEOUT)
        try:
            other.connect(path)
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, "another process is listening there")


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
