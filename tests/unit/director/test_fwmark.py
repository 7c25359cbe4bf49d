"""fwmark: its lines, its listing, which can be replayed, and its messages for wrong lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director import fwmark
from director.control import cli
from director.core.commands import AddMark, ClearMarks, Command, DeleteMark
from director.core.packet import TCP, UDP
from director.formats.command_json import decode
from director.formats.ipvsadm_words import mark_options

VIP = "203.0.113.1"


class Marks:
    """Stands in for a director: keeps the requests, and lists `marks`."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.marks: list[dict[str, Any]] = []

    def stream(self, _path: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.requests.append(request)
        yield {"ok": True, "marks": self.marks}

    @property
    def commands(self) -> list[Command]:
        return [decode(command) for request in self.requests for command in request.get("commands", [])]


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Marks:
    marks = Marks()
    monkeypatch.setattr(cli, "stream", marks.stream)
    return marks


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("-A -p tcp -d 203.0.113.1 --dport 80 --set-mark 1", AddMark(1, VIP, TCP, 80, 80)),
        ("-A -p tcp -d 203.0.113.1 --dport 80:90 --set-mark 1", AddMark(1, VIP, TCP, 80, 90)),
        ("-A -p UDP -d 203.0.113.0/24 --set-mark=4294967295", AddMark(2**32 - 1, "203.0.113.0/24", UDP)),
        ("-A -d 203.0.113.1 --set-mark 1", AddMark(1, VIP)),
        ("-A -p all -d 203.0.113.1 --set-mark 1", AddMark(1, VIP)),
        ("-D -p tcp -d 203.0.113.1 --dport=80 --set-mark 1", DeleteMark(1, VIP, TCP, 80, 80)),
        ("-F", ClearMarks()),
    ],
)
def test_a_line_becomes_a_command_of_the_core(marks: Marks, line: str, command: Command) -> None:
    assert fwmark.main(line.split()) == 0
    assert marks.commands == [command]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "one of -A, -D, -F, -L is needed"),
        ("-A -D", "one of -A, -D, -F, -L is needed"),
        ("-p tcp", "one of -A, -D, -F, -L is needed"),
        ("-F -d 203.0.113.1", "-F takes no other options."),
        ("-L more", "'more' is unexpected at the end"),
        ("-A -d 203.0.113.1", "-A and -D need -d and --set-mark."),
        ("-A --set-mark 1", "-A and -D need -d and --set-mark."),
        ("-A -d 203.0.113.1 -d 203.0.113.2 --set-mark 1", "an option was given twice."),
        ("-A -d 203.0.113.1 --set-mark 0", "bad mark '0'"),
        ("-A -d 203.0.113.1 --set-mark 4294967296", "bad mark '4294967296'"),
        ("-A -d 203.0.113 --set-mark 1", "bad destination '203.0.113'"),
        ("-A -d 203.0.113.0/33 --set-mark 1", "bad destination '203.0.113.0/33'"),
        ("-A -d 203.0.113.0/ --set-mark 1", "bad destination '203.0.113.0/'"),
        ("-A -p sctp -d 203.0.113.1 --set-mark 1", "bad protocol 'sctp'"),
        ("-A -d 203.0.113.1 --dport 80 --set-mark 1", "--dport needs -p tcp or -p udp."),
        ("-A -p tcp -d 203.0.113.1 --dport 90:80 --set-mark 1", "bad ports '90:80'"),
        ("-A -p tcp -d 203.0.113.1 --dport 65536 --set-mark 1", "bad ports '65536'"),
        ("-A -p tcp -d 203.0.113.1 --dport 80: --set-mark 1", "bad ports '80:'"),
        ("-A -p tcp -d 203.0.113.1 --dport http --set-mark 1", "bad ports 'http'"),
        ("--mark 1", "there is no option --mark; fwmark -h lists them."),
    ],
)
def test_a_wrong_line_is_one_sentence_and_sends_no_request(
    marks: Marks, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    assert fwmark.main(line.split()) == 2
    output, error = capsys.readouterr()
    assert error.startswith(f"fwmark: {says}")
    assert (error.count("\n"), output, marks.requests) == (1, "", [])


def test_the_listing(marks: Marks, capsys: pytest.CaptureFixture[str]) -> None:
    marks.marks = [
        {"mark": 1, "network": VIP, "protocol": "TCP", "first": 80, "last": 80},
        {"mark": 1, "network": VIP, "protocol": "UDP", "first": 80, "last": 90},
        {"mark": 2, "network": "203.0.113.0/24", "protocol": "any", "first": 0, "last": 65535},
    ]
    assert fwmark.main(["-L"]) == 0
    assert capsys.readouterr().out == (
        "-A -p tcp -d 203.0.113.1 --dport 80 --set-mark 1\n"
        "-A -p udp -d 203.0.113.1 --dport 80:90 --set-mark 1\n"
        "-A -d 203.0.113.0/24 --set-mark 2\n"
    )


@given(
    mark=st.integers(1, 2**32 - 1),
    network=st.ip_addresses(v=4).map(str) | st.ip_addresses(v=4).map(lambda address: f"{address}/24"),
    protocol=st.sampled_from(["TCP", "UDP"]),
    ports=st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted),
)
def test_the_listing_can_be_replayed(mark: int, network: str, protocol: str, ports: list[int]) -> None:
    first, last = ports
    listed = {"mark": mark, "network": network, "protocol": protocol, "first": first, "last": last}
    _, options = fwmark._options(["-A", *mark_options(listed).split()])
    assert fwmark._rule(options) == {**listed, "protocol": {"TCP": TCP, "UDP": UDP}[protocol]}


def test_help_sends_no_request(marks: Marks, capsys: pytest.CaptureFixture[str]) -> None:
    assert fwmark.main(["-h"]) == 0
    assert (capsys.readouterr().out, marks.requests) == (fwmark.USAGE, [])
