"""ipvs-sysctl: it lists, shows and sets, and names what is wrong in a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from director import ipvs_sysctl
from director.control import cli
from director.core.commands import Command, SetSysctl
from director.formats.command_json import decode


class Settings:
    """Stands in for a director: keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def stream(self, _path: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.requests.append(request)
        if any(command.name == "nosuch" for command in self.commands if isinstance(command, SetSysctl)):
            yield {"ok": False, "error": "there is no sysctl 'nosuch'."}
            return
        yield {"ok": True, "sysctls": {"sloppy_tcp": 0, "drop_entry": 3}}

    @property
    def commands(self) -> list[Command]:
        return [decode(command) for request in self.requests for command in request.get("commands", [])]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = Settings()
    monkeypatch.setattr(cli, "stream", settings.stream)
    return settings


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("-a", "net.ipv4.vs.drop_entry = 3\nnet.ipv4.vs.sloppy_tcp = 0\n"),
        ("sloppy_tcp", "net.ipv4.vs.sloppy_tcp = 0\n"),
        ("net.ipv4.vs.sloppy_tcp drop_entry", "net.ipv4.vs.sloppy_tcp = 0\nnet.ipv4.vs.drop_entry = 3\n"),
    ],
)
def test_what_it_shows(
    settings: Settings, capsys: pytest.CaptureFixture[str], line: str, output: str
) -> None:
    assert ipvs_sysctl.main(line.split()) == 0
    assert capsys.readouterr().out == output
    assert settings.requests == [{"do": "list"}]


@pytest.mark.parametrize("line", ["-w sloppy_tcp=1 net.ipv4.vs.drop_entry=2", "sloppy_tcp=1 drop_entry=2"])
def test_what_it_sets_is_one_request(
    settings: Settings, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    assert ipvs_sysctl.main(line.split()) == 0
    assert capsys.readouterr().out == "net.ipv4.vs.sloppy_tcp = 1\nnet.ipv4.vs.drop_entry = 2\n"
    assert settings.commands == [SetSysctl("sloppy_tcp", 1), SetSysctl("drop_entry", 2)]
    assert len(settings.requests) == 1


def test_blanks_around_the_equals_sign_are_those_of_sysctl(settings: Settings) -> None:
    assert ipvs_sysctl.main(["net.ipv4.vs.sloppy_tcp = 1"]) == 0
    assert settings.commands == [SetSysctl("sloppy_tcp", 1)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "a NAME or a NAME=VALUE is needed"),
        ("-a sloppy_tcp", "-a takes no other options and no names."),
        ("-a -w", "-a takes no other options and no names."),
        ("-w sloppy_tcp", "'sloppy_tcp': expected NAME=VALUE"),
        ("sloppy_tcp=x", "'sloppy_tcp=x': expected NAME=VALUE"),
        # differs: sysctl-numbers
        ("sloppy_tcp=-1", "'sloppy_tcp=-1': expected NAME=VALUE"),
        ("sloppy_tcp=", "'sloppy_tcp=': expected NAME=VALUE"),
        ("sloppy_tcp drop_entry=1", "'sloppy_tcp': expected NAME=VALUE"),
        ("-x", "there is no option -x; ipvs-sysctl -h lists them."),
    ],
)
def test_a_wrong_line_is_one_sentence_and_sends_no_request(
    settings: Settings, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    assert ipvs_sysctl.main(line.split()) == 2
    output, error = capsys.readouterr()
    assert error.startswith(f"ipvs-sysctl: {says}")
    assert (error.count("\n"), output, settings.requests) == (1, "", [])


@pytest.mark.parametrize("line", ["nosuch", "nosuch=1", "net.ipv4.ip_forward"])
def test_what_the_director_does_not_have(
    settings: Settings, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    assert ipvs_sysctl.main([line]) == 255
    assert capsys.readouterr().err.startswith("ipvs-sysctl: there is no s")
    assert len(settings.requests) == 1


def test_help_sends_no_request(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert ipvs_sysctl.main(["-h"]) == 0
    assert (capsys.readouterr().out, settings.requests) == (ipvs_sysctl.USAGE, [])
