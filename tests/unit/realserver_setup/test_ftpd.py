"""The ftp server of real servers, on loopback."""

from __future__ import annotations

import ftplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_HOST = "127.0.0.1"
_SECONDS = 30


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of an ftp server with one file."""
    (tmp_path / "name").write_text("rs1\n")
    with socket.socket() as free:
        free.bind((_HOST, 0))
        number = int(free.getsockname()[1])
    command = [sys.executable, "-m", "realserver_setup.ftpd", "--root", str(tmp_path), "--port", str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stdout.readline() == f"ftpd listens on port {number}.\n"
        yield number
        server.terminate()


def opened(port: int) -> ftplib.FTP:
    client = ftplib.FTP(timeout=_SECONDS)
    client.connect(_HOST, port)
    return client


def name_of(client: ftplib.FTP) -> str:
    lines: list[str] = []
    client.retrlines("RETR name", lines.append)
    return "".join(lines)


@pytest.mark.parametrize("passive", [True, False])
def test_a_session_of_several_transfers(port: int, passive: bool) -> None:
    with opened(port) as client:
        client.login()
        client.set_pasv(passive)
        assert [name_of(client) for _ in range(3)] == ["rs1"] * 3


def test_an_active_transfer_does_not_silence_another_session(port: int) -> None:
    """The second one gets the descriptor that the first one's data connection had."""
    with opened(port) as first:
        first.login()
        first.set_pasv(False)
        assert name_of(first) == "rs1"
        with opened(port) as second:
            assert name_of(first) == "rs1"
            second.login()
            assert name_of(second) == "rs1"
