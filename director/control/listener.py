"""The listening end of a control socket: callers are served as they become ready, and nobody waits for one.

A director's packets and its administrators share one thread, so nothing here takes long: a turn of the loop
reads and writes what is possible at once, and then does one slice of the work for one of the callers. A
caller may be silent, slow or gone, and its request or its answer as long as it likes, without a packet being
late for it.
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
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, DefaultSelector

from director.control.channel import (
    LARGEST,
    LONGEST,
    MORE,
    STILL_AT_WORK,
    Message,
    decode_line,
    encode_line,
    lines_of,
)

MOST_CALLERS = 64  # at a time
PATIENCE = 5.0  # seconds for each line of a request
LEISURE = 3600.0  # seconds without taking more of an answer: it may go to a pager
SLICE = 100  # steps of work in one turn of the loop, at most
_SPAN = 0.002  # seconds, after which no further one is taken
_AT_ONCE = 65536  # bytes of a line in one turn of the loop
_ENOUGH = 4 * _AT_ONCE  # bytes of an answer that nobody has taken yet

Steps = Generator[Message | None, None, None]
Answer = Callable[[Message], Message | Steps]


class Listener:
    """Listens on `path` (mode 0600) and answers each request with `answer(request)`.

    An answer is a message, or comes in steps: each is None, for a step of work, or a part of the message
    (channel.py says what that is); the last part has "ok". Steps are closed when their caller is gone. The
    parts of a long request are in its "parts", and are decoded as they are asked for; that may raise
    ValueError.

    In an event loop, `register` it, call `work` in each turn, which does not wait while it is `busy`, and
    `expire` each second. In a thread of its own, call `serve_one` again and again. Raises OSError where the
    socket can't be made, EADDRINUSE where somebody else is listening.
    """

    def __init__(self, path: str, answer: Answer) -> None:
        self.path = path
        self._answer = answer
        self._callers: list[_Caller] = []
        self._at_work: deque[_Caller | _Chore] = deque()
        _remove_stale(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._socket.bind(path)
        except OSError:
            self._socket.close()
            raise
        finally:
            os.umask(before)
        self._ours = _identity(path)
        self._socket.listen(MOST_CALLERS)

    def serve_one(self) -> None:
        """Take the next caller and answer it; one that hangs up is let go, one that talks nonsense told."""
        peer, _ = self._socket.accept()
        peer.setblocking(False)
        at_work: deque[_Caller | _Chore] = deque()
        with DefaultSelector() as selector:
            caller = _Caller(peer, self._answer, selector, at_work)
            while not caller.done:
                left = 0.0 if at_work else max(0.0, caller.deadline - time.monotonic())
                for key, _ in selector.select(left):
                    key.data()
                if at_work:
                    at_work.popleft().work()
                caller.expire(time.monotonic())

    def register(self, selector: BaseSelector) -> None:
        """Serve callers in the loop of `selector`, whose keys have what to call as their data."""
        self._socket.setblocking(False)
        selector.register(self._socket, EVENT_READ, partial(self._accept, selector))

    @property
    def busy(self) -> bool:
        """Whether there is work to do."""
        return bool(self._at_work)

    def work(self) -> None:
        """One slice of one caller's work; the others' turn comes after it."""
        if self._at_work:
            self._at_work.popleft().work()

    def do(self, steps: Iterator[None]) -> None:
        """More work, for nobody in particular."""
        self._at_work.append(_Chore(steps, self._at_work))

    def expire(self) -> None:
        """Let those callers go that take too long, and tell those who wait that they are not forgotten."""
        now = time.monotonic()
        for caller in self._callers:
            caller.expire(now)
            caller.keep_waiting()
        self._callers = [caller for caller in self._callers if not caller.done]

    def _accept(self, selector: BaseSelector) -> None:
        try:
            peer, _ = self._socket.accept()
        except OSError:  # it has gone again, or there is no descriptor left for it
            return
        peer.setblocking(False)
        self._callers = [caller for caller in self._callers if not caller.done]
        if len(self._callers) >= MOST_CALLERS:
            idle = [caller for caller in self._callers if not caller.is_at_work]
            if not idle:
                peer.close()
                return
            idle[0].close()  # the one that has been silent for longest
        self._callers.append(_Caller(peer, self._answer, selector, self._at_work))

    def close(self) -> None:
        """Stop listening; a socket that another process has put at our path stays."""
        for caller in self._callers:
            caller.close()
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            if _identity(self.path) == self._ours:
                os.unlink(self.path)


class _Chore:
    """Work that nobody waits for."""

    def __init__(self, steps: Iterator[None], at_work: deque[_Caller | _Chore]) -> None:
        self._steps = steps
        self._at_work = at_work

    def work(self) -> None:
        """One slice of it."""
        until = time.monotonic() + _SPAN
        for _ in range(SLICE):
            if next(self._steps, self) is self:
                return
            if time.monotonic() >= until:
                break
        self._at_work.append(self)


class _Caller:
    """One peer: it sends a message, gets one, and is let go. Each step does what is possible at once."""

    def __init__(
        self,
        peer: socket.socket,
        answer: Answer,
        selector: BaseSelector,
        at_work: deque[_Caller | _Chore],
    ) -> None:
        self.done = False
        self.deadline = time.monotonic() + PATIENCE
        self._peer = peer
        self._answer = answer
        self._selector = selector
        self._at_work = at_work
        self._events = 0
        self._line, self._size = b"", 0  # what has come of a line, and of the whole message
        self._parts: deque[bytes] = deque()
        self._answered: Iterator[bytes | None] | None = None  # the lines of the answer, and steps in between
        self._out = bytearray()
        self._is_waiting = False
        self._wait_for(EVENT_READ)

    @property
    def is_at_work(self) -> bool:
        """Whether something is being done for it."""
        return self in self._at_work

    def _wait_for(self, events: int) -> None:
        before, self._events = self._events, events
        if before and before != events:
            self._selector.unregister(self._peer)
        if events and before != events:
            self._selector.register(self._peer, events, self._ready)

    def _ready(self) -> None:
        try:
            if self._events == EVENT_READ:
                self._hear()
            else:
                self._speak()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    # ---- the request ----

    def _hear(self) -> None:
        part = self._peer.recv(_AT_ONCE)
        self._size += len(part)
        *lines, self._line = (self._line + part).split(b"\n")
        for line in lines:
            if not line.startswith(MORE) or len(line) > LONGEST:
                self._begin(line + b"\n")
                return
            self._parts.append(line[len(MORE) :] + b"\n")
            self.deadline = time.monotonic() + PATIENCE
        if not part or len(self._line) > LONGEST or self._size > LARGEST:
            self._begin(self._line)

    def _begin(self, line: bytes) -> None:
        """The message is all there, or never will be."""
        self._answered = self._lines(line)
        self._at_work.append(self)
        self._wait_for(0)
        self.deadline = math.inf

    # ---- the answer ----

    def _lines(self, line: bytes) -> Iterator[bytes | None]:
        try:
            answer = self._answer(_request(line, self._parts))
        except ValueError as error:
            answer = {"ok": False, "error": f"expected one line with a JSON object: {error}."}
        if isinstance(answer, dict):
            yield from lines_of(answer)
            return
        with contextlib.closing(answer):
            for part in answer:
                if part is None:
                    yield None
                else:
                    yield (b"" if "ok" in part else MORE) + encode_line(part)

    def work(self) -> None:
        """One slice of what has to be done for it."""
        until = time.monotonic() + _SPAN
        for _ in range(SLICE):
            if self._answered is None or len(self._out) >= _ENOUGH or time.monotonic() >= until:
                break
            line = next(self._answered, b"")
            if line == b"":
                self._answered = None
            elif line:
                self._out += line
        if self._out:
            self._is_waiting = False
            self._wait_to_speak()
        elif self._answered is None:
            self.close()
        if self._answered is not None and len(self._out) < _ENOUGH:
            self._at_work.append(self)

    def keep_waiting(self) -> None:
        """Each second: whoever has heard nothing for that long hears that somebody is at work."""
        waiting = self._answered is not None and not self._out
        if waiting and self._is_waiting:
            self._out += STILL_AT_WORK
            self._wait_to_speak()
        self._is_waiting = waiting

    def _wait_to_speak(self) -> None:
        self.deadline = time.monotonic() + LEISURE
        self._wait_for(EVENT_WRITE)

    def _speak(self) -> None:
        sent = self._peer.send(memoryview(self._out)[:_AT_ONCE])
        del self._out[:sent]
        self.deadline = time.monotonic() + LEISURE
        if self._answered is not None:
            if len(self._out) < _ENOUGH and not self.is_at_work:
                self._at_work.append(self)
            if not self._out:
                self._wait_for(0)
        elif not self._out:
            self.close()

    # ---- the end ----

    def expire(self, now: float) -> None:
        """Let it go if its time is over; what came while the loop was busy is not late."""
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
        self._answered = None
        if self.is_at_work:
            self._at_work.remove(self)


def _request(line: bytes, parts: deque[bytes]) -> Message:
    """Raises ValueError."""
    if len(line) > LONGEST:
        raise ValueError("the line is too long")
    request = decode_line(line)
    request.pop("parts", None)
    if parts:
        request["parts"] = _decoded(parts)
    return request


def _decoded(parts: deque[bytes]) -> Iterator[Message]:
    while parts:
        yield decode_line(parts.popleft())


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that was killed. Raises OSError where somebody listens there."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return  # bind(2) will say that the name is taken
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.settimeout(PATIENCE)
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
