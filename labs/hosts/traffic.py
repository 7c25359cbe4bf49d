"""Runs on a client of lab-ha while something fails: quick probes, and connections that stay open.

    traffic.py probe ADDRESS PORT SLOWNESS   TCP connections, one after another: the next a millisecond
                                             after an answer; after 20 ms without one, another each ms;
                                             on a slow machine these times are SLOWNESS times as long.
                                             For each line on standard input it prints the number of answers
                                             so far, the time of the last, the longest time without any, and
                                             the longest time in which this program did not run
    traffic.py hold ADDRESS SECONDS KIND...  opens a connection of each kind and prints the local ports; for
                                             each line on standard input it resumes all of them, and prints
                                             the result of each, within SECONDS

A connection is opened, and later resumed:

    keep-alive    an http request          another request
    download      a few bytes of 1 MB      the rest, by http
    ftp control   a login                  NOOP
    ftp data      a few bytes of 1 MB      the rest, by ftp, and 226 on the control connection

Output is one JSON value per line; times are in seconds of the monotonic clock. Uses the standard library
only.
"""

from __future__ import annotations

import ftplib
import hashlib
import json
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

_PAUSE, _QUIET = 0.001, 0.020  # seconds, on an idle machine
_GIVEN_UP = 0.5  # seconds after which a probe counts as lost: before the kernel retransmits its SYN
_BUFFER = 4096  # bytes that a client receives of a download before it resumes
FILE = "1m.bin"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a RST, which leaves nothing behind


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


# ---- probes ----


class Prober:
    """Probes in flight, by file descriptor, and statistics of the answers."""

    def __init__(self, address: str, port: int, slowness: float) -> None:
        self._target = (address, port)
        self._pause, self._quiet = _PAUSE * slowness, _QUIET * slowness
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._open: dict[int, tuple[socket.socket, float]] = {}  # in the order in which they were sent
        self.sent = 0.0
        self.answers, self.last = 0, 0.0
        self.longest, self.began = 0.0, 0.0
        self.pause, self._turned = 0.0, time.monotonic()

    def run(self) -> None:
        """Until standard input is closed."""
        while True:
            now = time.monotonic()
            self.pause = max(self.pause, now - self._turned - self._pause)
            self._turned = now
            if self.is_due(now):
                self._send(now)
            for descriptor, _ in self._poll.poll(1000 * self._pause):
                if descriptor == sys.stdin.fileno():
                    if not sys.stdin.readline():
                        return
                    self._report()
                elif descriptor in self._open:
                    self._answered(descriptor)
            self._give_up(time.monotonic())

    def is_due(self, now: float) -> bool:
        """Whether to send the next. It waits for an answer, so as not to saturate a user-space director."""
        quiet = self._quiet
        waits = bool(self._open) and now - max(self.last, self.sent) < quiet and now - self.last < quiet
        return now - self.sent >= self._pause and not waits

    def _send(self, now: float) -> None:
        probe = socket.socket(_family(self._target[0]), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        try:
            probe.connect_ex(self._target)
        except OSError:
            probe.close()
        else:
            self._open[probe.fileno()] = (probe, now)
            self._poll.register(probe, select.POLLOUT)
        self.sent = now

    def _answered(self, descriptor: int) -> None:
        probe, _ = self._open[descriptor]
        failed = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._close(descriptor)
        if failed:  # refused or unreachable
            return
        now = time.monotonic()
        if self.last and now - self.last > self.longest:
            self.longest, self.began = now - self.last, self.last
        self.answers, self.last = self.answers + 1, now

    def _give_up(self, now: float) -> None:
        while self._open:
            descriptor, (_, sent) = next(iter(self._open.items()))
            if now - sent < _GIVEN_UP:
                return
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._open.pop(descriptor)[0].close()

    def _report(self) -> None:
        silence = {"longest": self.longest, "began": self.began, "pause": round(self.pause, 6)}
        say({"answers": self.answers, "last": self.last, **silence})


# ---- connections that stay open ----


class Held:
    """A connection; `resume` returns a digest or an empty text if it survived, else another server's name."""

    port = 0

    def __init__(self, address: str, seconds: float) -> None:
        self.address, self.seconds = address, seconds

    def open(self) -> None:
        raise NotImplementedError

    def resume(self) -> str:
        raise NotImplementedError

    def connect(self, port: int, buffer: int = 0) -> socket.socket:
        made = socket.socket(_family(self.address), socket.SOCK_STREAM)
        made.settimeout(self.seconds)
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.connect((self.address, port))
        self.port = made.getsockname()[1]
        return made


class KeepAlive(Held):
    def open(self) -> None:
        self._socket = self.connect(80)
        self._name = self._request()

    def resume(self) -> str:
        name = self._request()
        return "" if name == self._name else f"another server: {name}, not {self._name}"

    def _request(self) -> str:
        self._socket.sendall(b"GET /name HTTP/1.1\r\nHost: lab\r\n\r\n")
        answer = b""
        while not answer.endswith(b"\n") or b"\r\n\r\n" not in answer or answer.endswith(b"\r\n\r\n"):
            piece = self._socket.recv(4096)
            if not piece:
                raise ConnectionError("closed")
            answer += piece
        return answer.partition(b"\r\n\r\n")[2].decode().strip()


class Download(Held):
    def open(self) -> None:
        self._socket = self.connect(80, _BUFFER)
        self._socket.sendall(f"GET /{FILE} HTTP/1.0\r\n\r\n".encode())
        self._begun = self._socket.recv(64)

    def resume(self) -> str:
        data = self._begun
        while piece := self._socket.recv(65536):
            data += piece
        return _whole(data.partition(b"\r\n\r\n")[2])


class FtpControl(Held):
    def open(self) -> None:
        self._ftp = ftplib.FTP(timeout=self.seconds)
        self._ftp.connect(self.address)
        assert self._ftp.sock is not None
        self.port = self._ftp.sock.getsockname()[1]
        self._ftp.login()
        self._ftp.voidcmd("NOOP")

    def resume(self) -> str:
        self._ftp.voidcmd("NOOP")
        return ""


class FtpData(FtpControl):
    def open(self) -> None:
        super().open()
        self._ftp.voidcmd("TYPE I")
        _, port = self._ftp.makepasv()
        self._data = self.connect(port, _BUFFER)
        self._ftp.sendcmd(f"RETR {FILE}")
        self._begun = self._data.recv(64)

    def resume(self) -> str:
        data = self._begun
        while piece := self._data.recv(65536):
            data += piece
        self._data.close()
        self._ftp.voidresp()
        return _whole(data)


def _whole(data: bytes) -> str:
    """The result of a complete transfer: the lab compares the file's digest."""
    return f"sha256 {hashlib.sha256(data).hexdigest()}"


KINDS: dict[str, type[Held]] = {
    "keep-alive": KeepAlive,
    "download": Download,
    "ftp control": FtpControl,
    "ftp data": FtpData,
}


def hold(address: str, seconds: str, *kinds: str) -> None:
    with ThreadPoolExecutor(len(kinds)) as pool:
        held = [KINDS[kind](address, float(seconds)) for kind in kinds]
        results = list(pool.map(lambda connection: _tried(connection.open), held))
        say(_report(kinds, held, results))
        for _ in sys.stdin:
            say(_report(kinds, held, list(pool.map(lambda connection: _tried(connection.resume), held))))


def _report(kinds: Sequence[str], held: Sequence[Held], results: Sequence[str]) -> list[dict[str, object]]:
    tried = zip(kinds, held, results, strict=True)
    return [{"kind": kind, "port": connection.port, "result": result} for kind, connection, result in tried]


def _tried(work: Callable[[], str | None]) -> str:
    try:
        return work() or ""
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "timed out"
    except (OSError, EOFError, ftplib.Error) as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        Prober(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])).run()
    else:
        hold(*sys.argv[2:])
