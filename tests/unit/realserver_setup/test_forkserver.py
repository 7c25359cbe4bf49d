"""Requests to the fork server: what is malformed is answered, never obeyed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from realserver_setup import forkserver
from realserver_setup.forkserver_client import Daemon, FtpCommand, ftp_commands

GOOD = {"name": "rs1", "pid": 1, "daemon": "ftpd", "log": "/dev/null", "options": {}}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "Expecting"),
        (b"[]", "name: expected a str"),
        (json.dumps({**GOOD, "pid": "1"}).encode(), "pid: expected a int"),
        (json.dumps({**GOOD, "options": None}).encode(), "options: expected a dict"),
        (json.dumps({**GOOD, "daemon": "sh"}).encode(), "daemon: expected one of ftpd, tunl0, got 'sh'"),
    ],
)
def test_malformed(line: bytes, complaint: str) -> None:
    theirs, ours = os.pipe()
    asks, _unused = os.pipe()
    server = forkserver.ForkServer(asks, ours)
    server._accept(line)
    answer = json.loads(os.read(theirs, 65536))
    for descriptor in (theirs, ours, asks, _unused):
        os.close(descriptor)
    assert complaint in answer["error"]


def test_a_daemon_s_request_is_what_the_fork_server_reads() -> None:
    daemon = Daemon("rs1", 4711, "ftpd", Path("/run/rs1.log"), {"root": "/srv"})
    assert forkserver._parse(daemon.request()) == {
        "name": "rs1",
        "pid": 4711,
        "daemon": "ftpd",
        "log": "/run/rs1.log",
        "options": {"root": "/srv"},
    }


def test_commands_are_read_from_a_log_with_other_lines(tmp_path: Path) -> None:
    log = tmp_path / "ftpd.log"
    assert ftp_commands(log) == []
    log.write_text(
        'started\n{"client": "198.51.100.101", "command": "RETR", "argument": "/a", "code": 125}\n'
    )
    assert ftp_commands(log) == [FtpCommand("198.51.100.101", "RETR", "/a", 125)]
