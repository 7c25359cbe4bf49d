"""One line in, one line out: what the listener makes of callers that do not keep to it."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from director.control.channel import ChannelError, Listener, call

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


@pytest.mark.usefixtures("listener")
def test_a_left_over_socket_makes_way(path: str) -> None:
    Listener(path, lambda _request: {}).close()
    assert not Path(path).exists()


def test_another_file_does_not(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(OSError, match="in use"):
        Listener(path, lambda _request: {})
    assert Path(path).read_text() == "precious"


def test_nobody_there(path: str) -> None:
    with pytest.raises(ChannelError, match="is the process that owns it running"):
        call(path, {})
