"""The control socket: requests and answers, and clients that are slow, silent or malicious."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from selectors import DefaultSelector
from threading import Semaphore, Thread
from typing import Any

import pytest

from director.control import channel
from director.control.channel import MAX_LINE, ChannelError, Message, call, encode, merge, stream
from director.control.listener import LINE_TIMEOUT, MAX_CLIENTS, REPLY_TIMEOUT, SLICE, Answer, Listener, Steps

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
    """Send bytes, shut down the sending side, and return the answer."""

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
def test_a_malformed_request_is_refused_in_one_sentence(send: Send, line: bytes) -> None:
    answer: dict[str, Any] = json.loads(send(line))
    assert answer["ok"] is False
    assert answer["error"].startswith("expected one line with a JSON object: ")
    assert json.loads(send(b"{}\n"))["ok"] is True


def test_a_client_that_hangs_up_is_dropped(listener: Listener, path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.connect(path)
        peer.sendall(b"{}\n")
    listener.serve_one()


@pytest.mark.usefixtures("listener")
def test_only_the_owner_may_use_the_socket(path: str) -> None:
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_the_socket_of_a_killed_process_is_replaced(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(path)
        dead.listen()
    Listener(path, lambda _request: {}).close()
    assert not Path(path).exists()


def test_a_socket_appears_once_it_listens(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the file connects at once."""
    seen: list[bool] = []

    class Observed(socket.socket):
        def listen(self, backlog: int = 0, /) -> None:
            seen.append(os.path.lexists(path))
            super().listen(backlog)

    monkeypatch.setattr("director.control.listener.socket.socket", Observed)
    listener = Listener(path, lambda _request: {"ok": True})
    assert seen == [False]
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    listener.close()


def test_the_longest_path_is_as_long_as_the_kernel_allows() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        longest = f"{folder}/".ljust(107, "x")
        Listener(longest, lambda _request: {"ok": True}).close()
        assert os.listdir(folder) == []
        with pytest.raises(OSError, match="too long"):
            Listener(f"{longest}x", lambda _request: {"ok": True})


def test_a_socket_in_use_is_not_replaced(listener: Listener, path: str) -> None:
    with pytest.raises(OSError, match="another process is listening there"):
        Listener(path, lambda _request: {})
    listener.serve_one()  # it accepts the connection attempt above
    test_a_request_is_answered(listener, path)


def test_close_leaves_the_socket_of_another_process(path: str) -> None:
    first = Listener(path, lambda _request: {})
    Path(path).unlink()
    second = Listener(path, lambda _request: {})
    first.close()
    assert Path(path).exists()
    second.close()
    assert not Path(path).exists()


def test_another_file_is_not_replaced(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(OSError, match="in use"):
        Listener(path, lambda _request: {})
    assert Path(path).read_text() == "precious"


def test_no_listener(path: str) -> None:
    with pytest.raises(ChannelError, match="is the process that owns it running"):
        call(path, {})


class Loop:
    """A director's event loop with its listener, and clients of every kind."""

    def __init__(
        self, path: str, answer: Message | Answer, on_error: Callable[[Exception], None] | None = None
    ) -> None:
        self._path = path
        self._selector = DefaultSelector()
        given = answer if callable(answer) else lambda _request: answer
        self.listener = Listener(path, given, on_error)
        self.listener.register(self._selector)
        self._peers: list[socket.socket] = []

    def client(self, data: bytes = b"") -> socket.socket:
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
        self.listener.work()

    def answer_to(self, peer: socket.socket) -> bytes:
        """Turns until there is an answer: no turn waits, so a few of them must do."""
        for _ in range(2 * MAX_CLIENTS):
            self.turn()
            with contextlib.suppress(BlockingIOError):
                return peer.recv(1 << 20)
        raise AssertionError("no answer")

    def whole_answer_to(self, peer: socket.socket) -> bytes:
        """Until the listener hangs up."""
        whole = b""
        while part := self.answer_to(peer):
            whole += part
        return whole

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


def test_silent_clients_and_half_lines_delay_no_other_client(loop: Loop) -> None:
    slow = [loop.client(), loop.client(b'{"do":'), *(loop.client() for _ in range(10))]
    assert loop.answer_to(loop.client(ASKING)) == ANSWER
    slow[1].sendall(b'"list"}\n')
    assert loop.answer_to(slow[1]) == ANSWER


def test_a_request_may_come_byte_by_byte(loop: Loop) -> None:
    slow = loop.client()
    for byte in ASKING:
        slow.sendall(bytes([byte]))
        loop.turn()
        assert loop.answer_to(loop.client(ASKING)) == ANSWER
    assert loop.answer_to(slow) == ANSWER


def test_a_client_past_its_deadline_is_dropped(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = loop.client(b"{")
    loop.turn()
    loop.turn()
    loop.listener.expire()
    with pytest.raises(BlockingIOError):
        slow.recv(1)
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + LINE_TIMEOUT)
    loop.listener.expire()
    assert slow.recv(1) == b""
    monkeypatch.undo()
    assert loop.answer_to(loop.client(ASKING)) == ANSWER


def test_a_byte_now_and_then_does_not_put_off_the_deadline(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, now = loop.client(b"{"), time.monotonic()
    for share in (0.0, 0.4, 0.8, 1.0):
        slow.sendall(b" ")
        monkeypatch.setattr("time.monotonic", partial(float, now + share * LINE_TIMEOUT))
        loop.turn()
        loop.turn()
        loop.listener.expire()
    assert slow.recv(1) == b""


def test_a_line_that_waits_while_the_loop_is_busy_is_not_late(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = loop.client()
    loop.turn()
    patient.sendall(ASKING)
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + 2 * LINE_TIMEOUT)  # another's rules took so long
    loop.listener.expire()
    assert loop.answer_to(patient) == ANSWER


def test_an_unread_answer_delays_no_other_client(path: str) -> None:
    loop = Loop(path, {"text": "x" * 10_000_000})
    try:
        silent = loop.client(ASKING)
        loop.answer_to(loop.client(ASKING))
        assert silent.recv(100).startswith(b'{"text":"xxx')
    finally:
        loop.close()


def test_there_is_always_room_for_another_client(loop: Loop) -> None:
    silent = [loop.client() for _ in range(MAX_CLIENTS)]
    for _ in silent:
        loop.turn()
    assert loop.answer_to(loop.client(ASKING)) == ANSWER
    assert silent[0].recv(1) == b""  # it made room
    with pytest.raises(BlockingIOError):
        silent[1].recv(1)


def test_a_client_that_has_gone_is_dropped(loop: Loop) -> None:
    loop.client(ASKING).close()
    loop.client().close()
    assert loop.answer_to(loop.client(ASKING)) == ANSWER


# ---- long requests and long answers ----


class Worker:
    """Answers {"rows": N} with N rows, one step before each; counts its steps."""

    def __init__(self) -> None:
        self.steps = self.closed = 0

    def __call__(self, request: Message) -> Message | Steps:
        return self._rows(request["rows"]) if "rows" in request else {"ok": True}

    def _rows(self, number: int) -> Steps:
        try:
            for row in range(number):
                self.steps += 1
                yield None
                yield {"list": [{"row": row, "text": "x" * 1000}]}
            yield {"ok": True}
        finally:
            self.closed += 1


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def working(path: str, worker: Worker) -> Iterator[Loop]:
    made = Loop(path, worker)
    yield made
    made.close()


def rows(number: int) -> bytes:
    return b'{"rows":%d}\n' % number


def parts_of(data: bytes) -> list[Message]:
    return [json.loads(line.removeprefix(b"+")) for line in data.splitlines()]


def test_a_turn_does_one_slice_of_work_for_one_client(working: Loop, worker: Worker) -> None:
    working.client(rows(10**9))
    working.turn()
    for _ in range(5):
        before = worker.steps
        working.turn()
        assert worker.steps - before <= SLICE
    assert working.listener.busy
    assert working.answer_to(working.client(ASKING)) == ANSWER


def test_work_for_many_clients_is_one_slice_per_turn(working: Loop, worker: Worker) -> None:
    for _ in range(20):
        working.client(rows(10**9))
    for _ in range(50):
        before = worker.steps
        working.turn()
        assert worker.steps - before <= SLICE


def test_an_answer_is_produced_only_as_it_is_read(working: Loop, worker: Worker) -> None:
    """So a listing needs memory for some of its rows only."""
    client = working.client(rows(3000))
    for _ in range(1000):
        working.turn()
    assert worker.steps < 1500
    assert not working.listener.busy
    got = b""
    while b'"ok"' not in got:
        working.turn()
        with contextlib.suppress(BlockingIOError):
            got += client.recv(1 << 20)
    assert got.count(b"\n+") == 2999
    answer: Message = {}
    for part in parts_of(got):
        merge(answer, part)
    assert [entry["row"] for entry in answer["list"]] == list(range(3000))


def test_a_waiting_client_gets_keepalives(path: str) -> None:
    def slowly(_request: Message) -> Steps:
        yield from [None] * 10 * SLICE
        yield {"ok": True}

    loop = Loop(path, slowly)
    try:
        client = loop.client(ASKING)
        loop.turn()
        loop.turn()
        for heard in (False, True, True):
            loop.listener.expire()
            loop.turn()
            with contextlib.nullcontext() if heard else pytest.raises(BlockingIOError):
                assert client.recv(100) == b"+{}\n"
        assert loop.answer_to(client) == ANSWER
    finally:
        loop.close()


def test_work_for_a_client_that_has_gone_is_abandoned(working: Loop, worker: Worker) -> None:
    client = working.client(rows(10**9))
    working.turn()
    working.turn()
    client.close()
    for _ in range(20):
        working.turn()
    assert worker.closed == 1
    assert not working.listener.busy


def test_a_pager_may_read_slowly(working: Loop, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    working.client(rows(3000))
    for _ in range(1000):
        working.turn()
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + REPLY_TIMEOUT - 1)
    working.listener.expire()
    assert not worker.closed
    for times in range(1, 9):  # the socket still takes a little
        later = now + times * (REPLY_TIMEOUT + 1)
        monkeypatch.setattr("time.monotonic", lambda later=later: later)
        working.listener.expire()
    assert worker.closed


def test_parts_of_a_long_request_are_decoded_as_they_are_needed(path: str) -> None:
    read: list[int] = []

    def keep(request: Message) -> Steps:
        for part in request["parts"]:
            read.append(len(part["commands"]))
            yield None
        yield {"ok": True, "do": request["do"], "commands": list(range(sum(read)))}

    loop = Loop(path, keep)
    try:
        client = loop.client()
        lines = list(encode({"do": "count", "commands": [{"number": n} for n in range(5050)]}))
        for line in lines[:-1]:
            client.sendall(line)
            loop.turn()
        assert not read  # an incomplete request delays no other client
        client.sendall(lines[-1])
        (answer,) = parts_of(loop.answer_to(client))
        assert (answer["do"], len(answer["commands"])) == ("count", 5050)
        assert read == [100] * 50 + [50]
    finally:
        loop.close()


def test_a_malformed_part_is_refused_when_it_is_decoded(path: str) -> None:
    def keep(request: Message) -> Message:
        return {"ok": True, "parts": len(list(request["parts"]))}

    loop = Loop(path, keep)
    try:
        answer = json.loads(loop.answer_to(loop.client(b"+{}\n+nonsense\n{}\n")))
        assert answer["error"].startswith("expected one line with a JSON object: ")
    finally:
        loop.close()


@pytest.mark.parametrize("start", [b"", b"+", b"+{}\n+"])
def test_a_line_that_is_too_long_is_refused(loop: Loop, start: bytes) -> None:
    client = loop.client()
    left = start + b" " * (MAX_LINE + 70_000)
    while left:
        with contextlib.suppress(BlockingIOError):
            left = left[client.send(left) :]
        loop.turn()
        if len(left) < 1000:
            break
    answer = json.loads(loop.answer_to(client))
    assert answer["ok"] is False


def test_background_work_is_done_in_slices(loop: Loop) -> None:
    done: list[int] = []

    def steps() -> Iterator[None]:
        for number in range(3 * SLICE):
            done.append(number)
            yield

    loop.listener.run_in_background(steps())
    while loop.listener.busy:
        before = len(done)
        loop.turn()
        assert len(done) - before <= SLICE
    assert len(done) == 3 * SLICE


def test_an_unforeseen_error_ends_that_request_or_task_only(path: str) -> None:
    """In a background task, before an answer, and in the middle of one."""

    def breaks() -> Iterator[None]:
        yield
        raise KeyError("forgotten")

    def answer(request: Message) -> Message | Steps:
        if request["do"] == "at once":
            raise ZeroDivisionError("division by zero")
        return in_the_middle()

    def in_the_middle() -> Steps:
        yield {"list": [1]}
        yield None
        raise KeyError("in the middle")

    observed: list[Exception] = []
    loop = Loop(path, answer, observed.append)
    try:
        loop.listener.run_in_background(breaks())
        while loop.listener.busy:
            loop.turn()
        assert [repr(error) for error in observed] == ["KeyError('forgotten')"]
        at_once = json.loads(loop.whole_answer_to(loop.client(b'{"do": "at once"}\n')))
        sentence = "the request failed with an internal error (ZeroDivisionError: division by zero)."
        assert at_once == {"ok": False, "error": sentence}
        *parts, last = loop.whole_answer_to(loop.client(b'{"do": "later"}\n')).splitlines()
        assert parts == [b'+{"list":[1]}']
        assert json.loads(last)["ok"] is False
        assert len(observed) == 3
    finally:
        loop.close()


def test_a_client_being_served_is_not_dropped_for_another(path: str) -> None:
    closed: list[bool] = []

    def endless(_request: Message) -> Steps:
        try:
            while True:
                yield None
        finally:
            closed.append(True)

    loop = Loop(path, endless)
    try:
        loop.client(ASKING)
        for _ in range(MAX_CLIENTS):
            loop.turn()
            loop.client()
        for _ in range(2 * MAX_CLIENTS):
            loop.turn()
        assert not closed
    finally:
        loop.close()


def test_a_client_with_its_whole_answer_is_disconnected_before_the_work_ends(path: str) -> None:
    def goes_on(_request: Message) -> Steps:
        yield {"ok": True}
        yield from [None] * 3 * SLICE

    loop = Loop(path, goes_on)
    try:
        client = loop.client(ASKING)
        assert loop.answer_to(client) == ANSWER
        assert loop.answer_to(client) == b""
    finally:
        loop.close()


def test_a_stream_that_ends_early_is_an_error(path: str) -> None:
    def hang_up(_request: Message) -> Steps:
        yield {"list": [1]}

    listener = Listener(path, hang_up)
    server = Thread(target=listener.serve_one)
    server.start()
    answer = stream(path, {})
    try:
        assert next(answer) == {"list": [1]}
        with pytest.raises(ChannelError, match="it ended early"):
            next(answer)
    finally:
        server.join()
        listener.close()


def served(path: str, serve: Callable[[socket.socket], object]) -> Thread:
    """A server for one client that behaves like `serve`."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    listening.listen()

    def work() -> None:
        with listening, listening.accept()[0] as peer:
            serve(peer)

    server = Thread(target=work, daemon=True)
    server.start()
    return server


def test_while_waiting_is_called_during_silence(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Semaphore(0)

    def serve(peer: socket.socket) -> None:
        for piece in (b'+{"list":[1]}\n+{"li', b'st":[2]}\n+{}\n', b'{"ok":true}\n'):
            looked.acquire()
            peer.sendall(piece)

    monkeypatch.setattr(channel, "_POLL", 0.01)
    server = served(path, serve)
    messages = list(stream(path, {"do": "list"}, while_waiting=looked.release))
    server.join()
    assert messages == [{"list": [1]}, {"list": [2]}, {"ok": True}]  # a keepalive is not a part


def test_silence_ends_at_the_timeout_whoever_looks_meanwhile(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Semaphore(0)
    looks = iter(range(100))

    def look() -> None:
        next(looks)

    monkeypatch.setattr(channel, "_POLL", 0.01)
    server = served(path, lambda _peer: done.acquire())
    with pytest.raises(ChannelError, match="timed out"):
        list(stream(path, {"do": "list"}, timeout=0.05, while_waiting=look))
    done.release()
    server.join()


def test_while_waiting_may_abort_an_answer_that_has_begun(path: str) -> None:
    class Seen(Exception):
        pass

    def look() -> None:
        if messages:
            raise Seen

    def serve(peer: socket.socket) -> None:
        peer.sendall(b'+{"list":[1]}\n')
        while peer.recv(100):  # until it is gone
            pass

    messages: list[Message] = []
    server = served(path, serve)
    with pytest.raises(Seen):
        list(map(messages.append, stream(path, {"do": "list"}, while_waiting=look)))
    server.join()
    assert messages == [{"list": [1]}]


def test_parts_are_merged() -> None:
    whole: Message = {}
    for part in (
        {"name": "all", "services": []},
        {"services": [{"port": 80, "servers": []}, {"port": 21, "servers": [1]}]},
        {"in": ["services", -1], "servers": [2, 3]},
        {},
        {"ok": True},
    ):
        merge(whole, part)
    services = [{"port": 80, "servers": []}, {"port": 21, "servers": [1, 2, 3]}]
    assert whole == {"name": "all", "services": services, "ok": True}


# ---- no descriptor is left ----


@contextlib.contextmanager
def without_descriptors() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_without_descriptors_a_silent_client_makes_way(loop: Loop) -> None:
    silent = loop.client()
    loop.turn()
    other = loop.client(b"{}\n")
    with without_descriptors():
        assert json.loads(loop.answer_to(other))["ok"] is True
    assert loop.answer_to(silent) == b""


def test_without_descriptors_the_loop_sleeps_until_the_next_second(loop: Loop) -> None:
    peer = loop.client(b"{}\n")
    with without_descriptors():
        loop.turn()
        assert loop._selector.select(0) == []
    loop.listener.expire()
    assert json.loads(loop.answer_to(peer))["ok"] is True
