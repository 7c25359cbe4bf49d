"""A fork server that ends before it has read a request."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread

from realserver_setup.forked_programs import run_forked


def test_a_server_that_ends_has_not_run_it(tmp_path: Path) -> None:
    """The connection is reset because the request is unread; the caller then starts the program itself."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen()

        def accept_and_end() -> None:
            with listening.accept()[0] as connection:
                connection.recv(1, socket.MSG_PEEK)

        server = Thread(target=accept_and_end)
        server.start()
        assert run_forked(path, 1, ["program"], None, 20) is None
        server.join()
    assert run_forked(path, 1, ["program"], None, 20) is None
