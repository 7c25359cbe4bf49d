"""The listening end of a control socket: callers are served as they become ready, and nobody waits for one.

A director's packets and its administrators share one thread, so a caller may be silent, slow or gone without
a packet being late for it: every step reads or writes what is possible at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Callable
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, DefaultSelector

from director.control.channel import LARGEST, Message, decode_line, encode_line

MOST_CALLERS = 64  # at a time
PATIENCE = 5.0  # seconds for a caller's whole request, and then without taking more of its answer
_AT_ONCE = 65536  # bytes of a line in one turn of the loop


class Listener:
    """Listens on `path` (mode 0600) and answers each request with `answer(request)`.

    In an event loop, `register` it and call `expire` now and then: callers wait for themselves, the loop for
    none of them. In a thread of its own, call `serve_one` again and again. Raises OSError where the socket
    can't be made, EADDRINUSE where somebody else is listening.
    """

    def __init__(self, path: str, answer: Callable[[Message], Message]) -> None:
        self.path = path
        self._answer = answer
        self._callers: list[_Caller] = []
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
        with DefaultSelector() as selector:
            caller = _Caller(peer, self._answer_to, selector)
            while not caller.done:
                for key, _ in selector.select(max(0.0, caller.deadline - time.monotonic())):
                    key.data()
                caller.expire(time.monotonic())

    def register(self, selector: BaseSelector) -> None:
        """Serve callers in the loop of `selector`, whose keys have what to call as their data."""
        self._socket.setblocking(False)
        selector.register(self._socket, EVENT_READ, partial(self._accept, selector))

    def expire(self) -> None:
        """Let those callers go that have taken more than PATIENCE seconds."""
        now = time.monotonic()
        for caller in self._callers:
            caller.expire(now)
        self._callers = [caller for caller in self._callers if not caller.done]

    def _accept(self, selector: BaseSelector) -> None:
        try:
            peer, _ = self._socket.accept()
        except OSError:  # it has gone again, or there is no descriptor left for it
            return
        peer.setblocking(False)
        self._callers = [caller for caller in self._callers if not caller.done]
        if len(self._callers) >= MOST_CALLERS:
            self._callers.pop(0).close()  # the one that has been silent for longest
        self._callers.append(_Caller(peer, self._answer_to, selector))

    def _answer_to(self, line: bytes) -> Message:
        try:
            return self._answer(decode_line(line))
        except ValueError as error:
            return {"ok": False, "error": f"expected one line with a JSON object: {error}."}

    def close(self) -> None:
        """Stop listening; a socket that another process has put at our path stays."""
        for caller in self._callers:
            caller.close()
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            if _identity(self.path) == self._ours:
                os.unlink(self.path)


class _Caller:
    """One peer: it sends a line, gets a line, and is let go. Each step does what is possible at once."""

    def __init__(
        self, peer: socket.socket, answer: Callable[[bytes], Message], selector: BaseSelector
    ) -> None:
        self.deadline = time.monotonic() + PATIENCE
        self.done = False
        self._peer = peer
        self._answer = answer
        self._selector = selector
        self._line = bytearray()
        self._left = memoryview(b"")
        selector.register(peer, EVENT_READ, self._hear)

    def _hear(self) -> None:
        try:
            part = self._peer.recv(_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._line += part
        if part and not part.endswith(b"\n") and len(self._line) <= LARGEST:
            return
        self._left = memoryview(encode_line(self._answer(bytes(self._line))))
        self.deadline = time.monotonic() + PATIENCE
        self._selector.modify(self._peer, EVENT_WRITE, self._speak)

    def _speak(self) -> None:
        try:
            sent = self._peer.send(self._left[:_AT_ONCE])
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._left = self._left[sent:]
        self.deadline = time.monotonic() + PATIENCE  # it is taking its answer
        if not self._left:
            self.close()

    def expire(self, now: float) -> None:
        """Let it go if its time is over; what came while the loop was busy is not late."""
        if self.done or now < self.deadline:
            return
        self._selector.get_key(self._peer).data()
        if not self.done and now >= self.deadline:
            self.close()

    def close(self) -> None:
        if not self.done:
            self.done = True
            self._selector.unregister(self._peer)
            self._peer.close()


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
