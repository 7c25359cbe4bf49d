"""-R: all lines or none; with --line-by-line one by one, as observed with ipvsadm 1.31."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from director.control import cli
from director.control.channel import ChannelError
from director.ipvsadm import main
from tests.unit.director.ipvsadm.support import Table

Restore = Callable[..., int]


@pytest.fixture
def restore(monkeypatch: pytest.MonkeyPatch) -> Restore:
    def run(text: bytes, *options: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        return main(["-R", *options])

    return run


def marks(table: Table) -> list[int]:
    return sorted(service["mark"] for service in table.services)


# ---- all or none ----


def test_all_lines_are_one_request(table: Table, restore: Restore) -> None:
    text = b"# rules\n\n-A -f 1\r\n   # one more\n  ipvsadm -a -f 1 -r 172.16.0.2\n-A -f 2"
    assert restore(text) == 0
    assert len(table.requests) == 1
    assert [type(command).__name__ for command in table.commands] == ["AddService", "AddServer", "AddService"]


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("nonsense", 255, "line 3: a command comes first, such as -A or -L; ipvsadm -h lists them."),
        ("-A -t 203.0.113.1", 2, "line 3: port 0 is every port of the address"),
        ("-A -f 2 --nosuch", 255, "line 3: there is no option --nosuch;"),
        ("-A -f", 255, "line 3: -f needs a value."),
        ("-A -f 2 # why", 2, "line 3: '#' is unexpected at the end of the line."),
        ("-R", 255, "line 3: only lines that change or list rules are allowed here."),
        ("-h", 255, "line 3: only lines"),
        ("-A -t \xff:80", 2, "line 3: bad virtual service"),
        ("-A -t a\0:80", 2, "line 3: bad virtual service"),
        ("-A --sctp-service 203.0.113.1:80", 2, "line 3: --sctp-service is for kernel IPVS"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_done(
    table: Table, restore: Restore, capsys: pytest.CaptureFixture[str], line: str, code: int, says: str
) -> None:
    assert restore(b"-A -f 1\n\n" + line.encode("latin-1") + b"\n-A -f 3\n") == code
    assert capsys.readouterr().err.startswith(f"ipvsadm: {says}")
    assert table.requests == []


def test_what_the_director_refuses_is_named_too(
    table: Table, restore: Restore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore(b"-A -f 1\n-L\n\n-A -f 1\n") == 255
    assert capsys.readouterr() == ("", "ipvsadm: line 4: Service already exists: FWM 1.\n")
    assert len(table.requests) == 1
    assert marks(table) == []


def test_lines_that_list_show_the_final_rules(
    table: Table, restore: Restore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore(b"-S -n\n-A -f 1\n-A -f 2\n-L -n -f 2\n") == 0
    saved, listed = capsys.readouterr().out.split("Prot LocalAddress:Port")
    assert saved == "-A -f 1 -s wlc\n-A -f 2 -s wlc\n"
    assert listed.endswith("FWM  2 wlc\n")
    assert marks(table) == [1, 2]


# ---- line by line ----

DUMP = b"""\
-A -f 1
-A -u 203.0.113.1:5060 --pe sip
-A -f 1
-A --sctp-service 203.0.113.1:80
-a -f 1 -r 172.16.0.2 -i --tun-type gue --tun-port 6080
-a -f 1 -r 172.16.0.3 -m
-A -f 2 --nosuch
-A -f 3
"""


def test_the_lines_after_a_refused_one_are_applied(
    table: Table, restore: Restore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore(DUMP, "--line-by-line") == 0
    complaints = capsys.readouterr().err.splitlines()
    assert [complaint.split(":")[1] for complaint in complaints] == [f" line {n}" for n in (2, 3, 4, 5, 7)]
    assert complaints[1] == "ipvsadm: line 3: Service already exists: FWM 1."
    assert marks(table) == [1, 3]
    assert [server["address"] for server in table.services[0]["servers"]] == ["172.16.0.3"]


@pytest.mark.parametrize(
    ("last", "code"), [("-A -f 1", 255), ("-D -f 9", 255), ("-A -f 1 --pe sip", 2), ("-A -f 2", 0), ("-L", 0)]
)
@pytest.mark.usefixtures("table")
def test_its_exit_code_is_that_of_the_last_line(restore: Restore, last: str, code: int) -> None:
    assert restore(f"-A -f 1\n-A -f 1\n{last}\n".encode(), "--line-by-line") == code


@pytest.mark.parametrize(
    ("line", "code"),
    [("-A -t 203.0.113.1", 2), ("nonsense", 255), ("-R", 255), ("--nosuch", 255), ("-q", 255)],
)
def test_a_wrong_line_ends_it(
    table: Table, restore: Restore, capsys: pytest.CaptureFixture[str], line: str, code: int
) -> None:
    assert restore(f"-A -f 1\n{line}\n-A -f 3\n".encode(), "--line-by-line") == code
    assert capsys.readouterr().err.startswith("ipvsadm: line 2: ")
    assert marks(table) == [1]


def test_a_line_lists_the_rules_of_that_moment(
    table: Table, restore: Restore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore(b"-A -f 1\n-S\n-D -f 1\n-S\n-A -f 2\n-S\n", "--line-by-line") == 0
    assert capsys.readouterr().out == "-A -f 1 -s wlc\n-A -f 2 -s wlc\n"
    assert marks(table) == [2]


def test_many_lines_are_few_requests(table: Table, restore: Restore) -> None:
    lines = [f"-A -f {mark}" for mark in range(1, 1001)]
    lines[500] = "-A -f 1"
    assert restore("\n".join(lines).encode(), "--line-by-line") == 0
    assert len(table.services) == 999
    assert len(table.requests) < 30


def test_without_a_director_it_ends(
    restore: Restore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(*_: Any) -> None:
        raise ChannelError("no answer")

    monkeypatch.setattr(cli, "stream", nobody)
    assert restore(b"-A -f 1\n-A -f 2\n", "--line-by-line") == 1
    assert capsys.readouterr().err == "ipvsadm: no answer\n"


def test_input_without_an_end_is_refused(
    table: Table, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/zero", encoding="utf-8") as endless:
        monkeypatch.setattr(sys, "stdin", endless)
        assert main(["-R"]) == 2
    assert (
        capsys.readouterr().err == "ipvsadm: the input has more than 64 MiB, which is too large for rules.\n"
    )
    assert not table.requests
