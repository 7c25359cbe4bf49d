"""Each call of a client with a real curl: what it says of one transfer must not depend on the others."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from labs.hosts.client import FTP_MODES, Client, Transfer, digest_of
from labs.hosts.host import Host
from realserver_setup.apply import Result


class Here:
    """Stands in for a host; `ends` is the result of its curl."""

    def __init__(self, ends: Result | None = None) -> None:
        self.ends = ends
        self.commands: list[list[str]] = []

    def run(self, argv: Sequence[str], timeout: float) -> Result:
        self.commands.append(list(argv))
        if self.ends:
            return self.ends
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
        return Result(done.returncode, done.stdout, done.stderr)


def client(folder: Path, here: Here, vip: str = "203.0.113.1") -> Client:
    return Client(cast(Host, here), folder / "scratch", vip)


@pytest.mark.parametrize(("silent", "commands"), [((), 1), ((2, 5), 2), ((8,), 1), (range(1, 9), 2)])
def test_after_a_request_without_an_answer_the_rest_are_sent_at_once(
    tmp_path: Path, silent: Sequence[int], commands: int
) -> None:
    """A server that closes these connections without an answer; the eight requests each have their own."""
    here, count = Here(), 8
    requested: list[str] = []

    def serve() -> None:
        for number in range(1, count + 1):
            connection, _ = listening.accept()
            with connection:
                requested.append(connection.recv(4096).split()[1].decode())
                if number not in silent:
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nrs%d\n" % number)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)  # a client that never connects is a failure, not an endless wait
        server = threading.Thread(target=serve)
        server.start()
        names = client(tmp_path, here, f"127.0.0.1:{listening.getsockname()[1]}").names(count)
        server.join()
    assert sorted(requested) == [f"/name?{number}" for number in range(1, count + 1)]
    assert sorted(names) == [f"rs{number}" for number in range(1, count + 1) if number not in silent]
    assert len(here.commands) == commands


@pytest.mark.parametrize("mode", FTP_MODES)
def test_a_session_is_one_process_in_its_mode(tmp_path: Path, mode: str) -> None:
    here = Here(Result(0, "0 \n0 \n", ""))
    client(tmp_path, here).ftp(mode, [Transfer("ftp://x/"), Transfer("ftp://x/upload/a", tmp_path / "a")])
    (command,) = here.commands
    assert command.count("--next") == 1
    for option in (*FTP_MODES[mode], "--max-time", "--connect-timeout"):
        assert command.count(option) >= 2, "--next forgets options: each transfer has its own"


def test_each_transfer_has_its_own_result(tmp_path: Path) -> None:
    (source := tmp_path / "source").write_bytes(b"abc\n")
    wanted = [
        Transfer(f"file://{source}"),
        Transfer(f"file://{tmp_path}/missing"),
        Transfer(f"file://{tmp_path}/sent", source),
    ]
    here = Here()
    got, missing, sent = client(tmp_path, here).ftp("EPSV", wanted)
    assert (got.text, got.fetched) == ("abc\n", digest_of(source))
    assert missing.result.exit_code == 37
    assert missing.fetched.error.startswith("curl: (37) ")
    assert missing.text == ""
    assert sent.result == Result(0, "", "")
    assert (tmp_path / "sent").read_bytes() == b"abc\n"


def test_files_of_an_earlier_session_are_not_mistaken_for_new_ones(tmp_path: Path) -> None:
    (source := tmp_path / "source").write_bytes(b"abc\n")
    here = client(tmp_path, Here())
    here.ftp("EPSV", [Transfer(f"file://{source}")])
    source.unlink()
    (again,) = here.ftp("EPSV", [Transfer(f"file://{source}")])
    assert (again.text, again.fetched.size) == ("", 0)


def test_transfers_that_curl_did_not_reach_have_its_result(tmp_path: Path) -> None:
    here = Here(Result(124, "0 \n", "timed out after 90 s"))
    first, second = client(tmp_path, here).ftp("EPSV", [Transfer("ftp://x/"), Transfer("ftp://x/y")])
    assert first.result.exit_code == 0
    assert second.result == Result(124, "", "timed out after 90 s")
