"""One line in, one line out: what the listener makes of callers that do not keep to it."""

from __future__ import annotations

import contextlib
import json
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from selectors import DefaultSelector
from threading import Thread
from typing import Any

import pytest

from director.control.channel import ChannelError, Message, call
from director.control.listener import MOST_CALLERS, PATIENCE, Listener

Send = Callable[[bytes], bytes]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "socket")


@pytest.fixture
def listener(path: str) -> Iterator[Listener]:
    made = Listener(path, lambda request: {"ok": True, "got": request})
    yield made
    made.close()


@pytest.fixture
def send(listener: Listener, path: str) -> Send:
    """Send bytes, end the sending, and return what comes back."""

    def send(data: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.connect(path)
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            listener.serve_one()
            return peer.recv(100_000)

    return send


def test_a_request_is_answered(listener: Listener, path: str) -> None:
    server = Thread(target=listener.serve_one)
    server.start()
    assert call(path, {"do": "list"}) == {"ok": True, "got": {"do": "list"}}
    server.join()


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"{", b"[]\n", b"3\n", b"\xff\n", b'{"do":1}', b"[" * 100_000 + b"\n", b"{}{}\n"]
)
def test_nonsense_is_answered_with_a_sentence(send: Send, line: bytes) -> None:
    answer: dict[str, Any] = json.loads(send(line))
    assert answer["ok"] is False
    assert answer["error"].startswith("expected one line with a JSON object: ")
    assert json.loads(send(b"{}\n"))["ok"] is True


def test_a_caller_that_hangs_up_is_let_go(listener: Listener, path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.connect(path)
        peer.sendall(b"{}\n")
    listener.serve_one()


@pytest.mark.usefixtures("listener")
def test_the_socket_is_the_owners_alone(path: str) -> None:
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_a_socket_of_a_process_that_was_killed_makes_way(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(path)
        dead.listen()
    Listener(path, lambda _request: {}).close()
    assert not Path(path).exists()


def test_one_that_somebody_listens_on_does_not(listener: Listener, path: str) -> None:
    with pytest.raises(OSError, match="another process is listening there"):
        Listener(path, lambda _request: {})
    listener.serve_one()  # that one has only knocked
    test_a_request_is_answered(listener, path)


def test_a_socket_that_somebody_else_has_put_there_stays(path: str) -> None:
    first = Listener(path, lambda _request: {})
    Path(path).unlink()
    second = Listener(path, lambda _request: {})
    first.close()
    assert Path(path).exists()
    second.close()
    assert not Path(path).exists()


def test_another_file_does_not(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(OSError, match="in use"):
        Listener(path, lambda _request: {})
    assert Path(path).read_text() == "precious"


def test_nobody_there(path: str) -> None:
    with pytest.raises(ChannelError, match="is the process that owns it running"):
        call(path, {})


class Loop:
    """The event loop of a director: its listener, and callers that do as they like."""

    def __init__(self, path: str, answer: Message) -> None:
        self._path = path
        self._selector = DefaultSelector()
        self.listener = Listener(path, lambda _request: answer)
        self.listener.register(self._selector)
        self._peers: list[socket.socket] = []

    def caller(self, data: bytes = b"") -> socket.socket:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.connect(self._path)
        peer.setblocking(False)
        peer.sendall(data)
        self._peers.append(peer)
        return peer

    def turn(self) -> None:
        """Whatever is ready now is served, once."""
        for key, _ in self._selector.select(0):
            key.data()

    def answer_to(self, peer: socket.socket) -> bytes:
        """Turns until there is an answer: no turn waits, so a few of them must do."""
        for _ in range(2 * MOST_CALLERS):
            self.turn()
            with contextlib.suppress(BlockingIOError):
                return peer.recv(1 << 20)
        raise AssertionError("no answer")

    def close(self) -> None:
        for peer in self._peers:
            peer.close()
        self.listener.close()
        self._selector.close()


@pytest.fixture
def loop(path: str) -> Iterator[Loop]:
    made = Loop(path, {"ok": True})
    yield made
    made.close()


ASKING, ANSWER = b"{}\n", b'{"ok":true}\n'


def test_silent_callers_and_half_a_line_keep_nobody_waiting(loop: Loop) -> None:
    slow = [loop.caller(), loop.caller(b'{"do":'), *(loop.caller() for _ in range(10))]
    assert loop.answer_to(loop.caller(ASKING)) == ANSWER
    slow[1].sendall(b'"list"}\n')
    assert loop.answer_to(slow[1]) == ANSWER


def test_a_byte_at_a_time_is_a_line_in_the_end(loop: Loop) -> None:
    slow = loop.caller()
    for byte in ASKING:
        slow.sendall(bytes([byte]))
        loop.turn()
        assert loop.answer_to(loop.caller(ASKING)) == ANSWER
    assert loop.answer_to(slow) == ANSWER


def test_who_takes_too_long_is_let_go(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = loop.caller(b"{")
    loop.turn()
    loop.turn()
    loop.listener.expire()
    with pytest.raises(BlockingIOError):
        slow.recv(1)
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + PATIENCE)
    loop.listener.expire()
    assert slow.recv(1) == b""
    monkeypatch.undo()
    assert loop.answer_to(loop.caller(ASKING)) == ANSWER


def test_a_line_that_waits_while_the_loop_is_busy_is_not_late(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = loop.caller()
    loop.turn()
    patient.sendall(ASKING)
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + 2 * PATIENCE)  # another's rules took so long
    loop.listener.expire()
    assert loop.answer_to(patient) == ANSWER


def test_an_answer_that_nobody_reads_keeps_nobody_waiting(path: str) -> None:
    loop = Loop(path, {"text": "x" * 10_000_000})
    try:
        silent = loop.caller(ASKING)
        loop.answer_to(loop.caller(ASKING))
        assert silent.recv(100).startswith(b'{"text":"xxx')
    finally:
        loop.close()


def test_there_is_always_room_for_another_caller(loop: Loop) -> None:
    silent = [loop.caller() for _ in range(MOST_CALLERS)]
    for _ in silent:
        loop.turn()
    assert loop.answer_to(loop.caller(ASKING)) == ANSWER
    assert silent[0].recv(1) == b""  # it made room
    with pytest.raises(BlockingIOError):
        silent[1].recv(1)


def test_a_caller_that_is_gone_is_let_go(loop: Loop) -> None:
    loop.caller(ASKING).close()
    loop.caller().close()
    assert loop.answer_to(loop.caller(ASKING)) == ANSWER
