"""The tool of 1999: its lines, its errors, its exit codes, its listing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from director import ippfvsadm
from director.control import cli
from director.control.channel import ChannelError
from director.core.commands import (
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    DeleteService,
    ServiceKey,
)
from director.core.director import Director
from director.core.packet import TCP, UDP, Endpoint
from director.formats.command_json import decode

WEB = ServiceKey(TCP, Endpoint("203.0.113.1", 80))
NAMES = ServiceKey(UDP, Endpoint("203.0.113.1", 53))
WEB6 = ServiceKey(TCP, Endpoint("2001:db8::1", 80))
FIRST6 = Endpoint("fd00::2", 8000)
FIRST, SECOND = Endpoint("172.16.0.2", 80), Endpoint("172.16.0.3", 8000)


class Asked:
    """Stands in for a director: keeps the requests and answers all of them alike."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {"ok": True, "services": []}

    def stream(self, path: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.path = path
        self.requests.append(request)
        yield self.answer

    @property
    def commands(self) -> list[Command]:
        (request,) = self.requests
        assert request["do"] == "apply"
        return [decode({k: v for k, v in command.items() if k != "last"}) for command in request["commands"]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(cli, "stream", asked.stream)
    monkeypatch.delenv("LVS_SOCKET", raising=False)
    return asked


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:80", [AddService(WEB, exist_ok=True), AddServer(WEB, FIRST)]),
        (
            "-A -t 203.0.113.1:80 -R 172.16.0.3:8000 -w 2",
            [AddService(WEB, exist_ok=True), AddServer(WEB, SECOND, 2)],
        ),
        (
            "-w2 -R172.16.0.2:80 -u203.0.113.1:53 -A",
            [AddService(NAMES, exist_ok=True), AddServer(NAMES, FIRST, 2)],
        ),
        (
            "-At 203.0.113.1:80 -R 172.16.0.2:80 -w 0",
            [AddService(WEB, exist_ok=True), AddServer(WEB, FIRST, 1)],
        ),
        ("-D -t 203.0.113.1:80 -R 172.16.0.2:80", [DeleteServer(WEB, FIRST)]),
        ("-D -t 203.0.113.1:80", [DeleteService(WEB)]),
        (
            "-A -t [2001:DB8::1]:80 -R [fd00:0:0::2]:8000 -w 2",
            [AddService(WEB6, exist_ok=True), AddServer(WEB6, FIRST6, 2)],
        ),
        ("-C", [Clear()]),
    ],
)
def test_a_line_becomes_the_commands_of_the_core(asked: Asked, line: str, commands: list[Command]) -> None:
    assert ippfvsadm.main(line.split()) == 0
    assert asked.commands == commands


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "not enough options"),
        ("-t 203.0.113.1:80 -R 172.16.0.2:80", "not enough options"),
        ("-A -R 172.16.0.2:80", "not enough options"),
        ("-A -t 203.0.113.1:80", "not enough options"),
        ("-D", "not enough options"),
        ("-A -D -t 203.0.113.1:80 -R 172.16.0.2:80", "more than one command"),
        ("-L -L", "more than one command"),
        ("-A -t 203.0.113.1:80 -u 203.0.113.1:80 -R 172.16.0.2:80", "more than one protocol"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:80 -R 172.16.0.3:80", "more than one destination"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:80 -w 1 -w 2", "more than one weight"),
        (
            "-A -t 203.0.113.1 -R 172.16.0.2:80",
            "virtual server '203.0.113.1': expected an address and a port, such as 203.0.113.1:80.",
        ),
        (
            "-A -t 203.0.113.1:80 -R 172.16.0.2",
            "destination '172.16.0.2': expected an address and a port, such as 172.16.0.2:80.",
        ),
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:", "expected a port from 1 to 60999"),
        ("-A -t 203.0.113.256:80 -R 172.16.0.2:80", "bad virtual server"),
        ("-A -t 203.0.113:80 -R 172.16.0.2:80", "bad virtual server"),
        ("-A -t www.example.org:80 -R 172.16.0.2:80", "bad virtual server"),
        ("-A -t 203.0.113.1:0 -R 172.16.0.2:80", "bad virtual server"),
        ("-A -t 203.0.113.1:61000 -R 172.16.0.2:80", "bad virtual server"),
        ("-A -t 203.0.113.1:80:80 -R 172.16.0.2:80", "bad virtual server"),
        ("-A -t 2001:db8::1:80 -R [fd00::2]:80", "bad virtual server"),
        ("-A -t [2001:db8::1] -R [fd00::2]:80", "expected an address and a port, such as [2001:db8::80]:80."),
        ("-A -t [2001:db8::1]:80 -R fd00::2:80", "expected an address and a port, such as [fd00::2]:80."),
        ("-A -t [2001:db8::1]:80 -R [fd00::2%d-eth0]:80", "expected an address without a zone"),
        ("-A -t [203.0.113.1]:80 -R 172.16.0.2:80", "bad virtual server"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:http", "bad destination"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.-2:80", "bad destination"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.²:80", "bad destination"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:80 -w -1", "bad weight"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:80 -w 65536", "bad weight"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:80 -w heavy", "bad weight"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:80 -w", "-w needs a value"),
        ("-A -t 203.0.113.1:80 -R 172.16.0.2:80 more", "unexpected at the end"),
        ("-L --", "unexpected at the end"),
        ("-x", "no option -x"),
        ("-f rules", "-f takes no other options and reads standard input: ippfvsadm -f < FILE."),
        ("--list", "no option --"),
        ("-C -t 203.0.113.1:80", "incompatible options"),
        ("-L -w 1", "incompatible options"),
        ("-D -t 203.0.113.1:80 -R 172.16.0.2:80 -w 1", "incompatible options"),
    ],
)
def test_a_malformed_line_is_one_sentence_and_sends_no_request(
    asked: Asked, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    assert ippfvsadm.main(line.split()) == 2
    output, error = capsys.readouterr()
    assert error.startswith("ippfvsadm: ")
    assert says in error
    assert (error.count("\n"), output, asked.requests) == (1, "", [])


def test_many_lines_are_one_request(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = """
        # two servers, by the same lines as alone
        -A -t 203.0.113.1:80 -R 172.16.0.2:80
        ippfvsadm -A -t 203.0.113.1:80 -R 172.16.0.3:8000 -w 2
    """
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert ippfvsadm.main(["-f"]) == 0
    made = AddService(WEB, exist_ok=True)
    assert asked.commands == [made, AddServer(WEB, FIRST), made, AddServer(WEB, SECOND, 2)]


@pytest.mark.parametrize("line", ["-L", "-A -t 203.0.113.1 -R 172.16.0.2:80", "rubbish", "-f", "-h"])
def test_one_bad_line_of_many_sends_no_request(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.setattr(
        "sys.stdin", io.TextIOWrapper(io.BytesIO(f"-A -t 203.0.113.1:80 -R 172.16.0.2:80\n{line}\n".encode()))
    )
    assert ippfvsadm.main(["-f"]) == 2
    assert capsys.readouterr().err.startswith("ippfvsadm: line 2: ")
    assert asked.requests == []


def test_help_sends_no_request(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert ippfvsadm.main(["-h"]) == 0
    assert "-A -[t|u] l.l.l.l:lport -R a.a.a.a:rport [-w weight]" in capsys.readouterr().out
    assert asked.requests == []


def test_without_a_director_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LVS_SOCKET", "/nowhere/director.sock")
    assert ippfvsadm.main(["-L"]) == 1
    assert "/nowhere/director.sock" in capsys.readouterr().err


def test_a_broken_channel_exits_as_without_a_director(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_path: str, _request: object) -> Iterator[dict[str, Any]]:
        raise ChannelError("it hung up")

    monkeypatch.setattr(cli, "stream", broken)
    assert ippfvsadm.main(["-C"]) == 1


def test_what_the_director_refuses(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    asked.answer = {"ok": False, "error": "no virtual service 203.0.113.1:80."}
    assert ippfvsadm.main(["-D", "-t", "203.0.113.1:80"]) == 255
    assert capsys.readouterr().err == "ippfvsadm: no virtual service 203.0.113.1:80.\n"


def test_the_published_listing(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    director = Director()
    files = ServiceKey(TCP, Endpoint("203.0.113.1", 21))
    director.apply([AddService(WEB), AddServer(WEB, FIRST), AddServer(WEB, SECOND, 2)], 0.0)
    director.apply([AddService(files), AddServer(files, Endpoint("172.16.0.3", 21))], 0.0)
    asked.answer = {"ok": True, "services": [service.as_dict() for service in director.rules]}
    assert ippfvsadm.main(["-L"]) == 0
    assert asked.path == "/run/lvs-director.sock"
    assert capsys.readouterr().out == (
        "Protocol  Virtual IP Address  Port  Real IP Address  Port  Weight\n"
        "TCP       203.0.113.1         80    172.16.0.2       80    1\n"
        "                                    172.16.0.3       8000  2\n"
        "TCP       203.0.113.1         21    172.16.0.3       21    1\n"
    )
