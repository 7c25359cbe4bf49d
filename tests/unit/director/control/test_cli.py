"""What the tools share: options as getopt(3) reads them, numbers, addresses, and missing answers."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from director.control import channel, cli
from director.control.cli import (
    NO_VALUE,
    OPTIONAL_VALUE,
    VALUE,
    Options,
    UsageError,
    getopt,
    parse_ipv4,
)
from director.formats import parse_number

KINDS = {"L": NO_VALUE, "n": NO_VALUE, "t": VALUE, "p": OPTIONAL_VALUE, "stats": NO_VALUE}
NAMES = {"list": "L", "service": "t", "persistent": "p", "stats": "stats"}


@pytest.mark.parametrize(
    ("line", "options", "rest"),
    [
        ("", [], ""),
        ("-L -n", [("L", None), ("n", None)], ""),
        ("-Ln", [("L", None), ("n", None)], ""),
        ("-Lt where", [("L", None), ("t", "where")], ""),
        ("-Ltwhere", [("L", None), ("t", "where")], ""),
        ("-t -n", [("t", "-n")], ""),
        ("-p", [("p", None)], ""),
        ("-p -n", [("p", None), ("n", None)], ""),
        ("-p 30 -n", [("p", "30"), ("n", None)], ""),
        ("-p30", [("p", "30")], ""),
        ("-np 30", [("n", None), ("p", "30")], ""),
        ("--list --stats", [("L", None), ("stats", None)], ""),
        ("--service=a=b", [("t", "a=b")], ""),
        ("--service where", [("t", "where")], ""),
        ("--persistent= 30", [("p", "")], "30"),
        ("--persistent 30", [("p", "30")], ""),
        ("--persistent -n", [("p", None), ("n", None)], ""),
        ("one -n two", [("n", None)], "one two"),
        ("one -- -n two", [], "one -n two"),
        ("-", [], "-"),
    ],
)
def test_options_values_and_the_rest(line: str, options: Options, rest: str) -> None:
    assert getopt("tool", line.split(), KINDS, NAMES) == (options, rest.split())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-x", "there is no option -x; tool -h lists them."),
        ("-Lx", "there is no option -x;"),
        ("--lis", "there is no option --lis;"),
        ("-t", "-t needs a value."),
        ("--service", "--service needs a value."),
        ("--stats=1", "--stats takes no value."),
    ],
)
def test_a_wrong_option_is_refused(line: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        getopt("tool", line.split(), KINDS, NAMES)


def test_help_is_understood_by_a_tool_without_long_names() -> None:
    assert getopt("tool", ["--help"], {"h": NO_VALUE}) == ([("h", None)], [])


def test_without_long_names_two_dashes_are_a_word() -> None:
    assert getopt("tool", ["-n", "--", "-n"], KINDS) == ([("n", None), ("n", None)], ["--"])
    with pytest.raises(UsageError, match="no option --"):
        getopt("tool", ["--list"], KINDS)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("080", 80), ("4294967295", 4294967295), ("", -1), ("-1", -1), ("²", -1)]
)
def test_numbers(text: str, value: int) -> None:
    assert parse_number(text) == value


def test_a_number_of_too_many_digits_is_none() -> None:
    assert (parse_number("65535", 5), parse_number("065535", 5)) == (65535, -1)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("203.000.113.001", "203.0.113.1"),
        ("203.0.113", None),
        ("203.0.113.256", None),
        ("203.0.113.1.1", None),
        ("203.0.113.x", None),
        ("", None),
    ],
)
def test_addresses_have_four_numbers(text: str, address: str | None) -> None:
    assert parse_ipv4(text) == address


# ---- no answer ----


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = str(tmp_path / "control")
    monkeypatch.setenv("LVS_SOCKET", path)
    return path


@pytest.fixture
def suspended(path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kernel accepts the connection of a suspended director, and no answer comes."""
    monkeypatch.setattr(channel, "TIMEOUT", 0.5)
    monkeypatch.setattr(cli, "PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen()
        yield


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def failure() -> tuple[str, int]:
    with pytest.raises(cli.ToolError) as failed:
        cli.query({"do": "list"})
    return str(failed.value), failed.value.code


def test_without_a_director_the_error_names_lvs_director_and_the_socket(path: str) -> None:
    sentence = (
        f"no director listens on {path}: start one with lvs-director, or name its socket in the "
        "environment variable LVS_SOCKET."
    )
    assert failure() == (sentence, 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(path)
    assert failure() == (sentence, 1)


def test_the_socket_of_another_user(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert failure() == (
        f"{path} belongs to another user: run this as root, or as the user that runs the director.",
        1,
    )


@pytest.mark.usefixtures("suspended")
def test_a_suspended_director_is_reported_at_once_and_at_the_timeout(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    sentence, code = failure()
    assert terminal.getvalue() == f"No answer yet from the director on {path}; waiting ...\n"
    assert sentence.startswith(f"the director on {path} has not answered for 0 s: it may be suspended ")
    assert code == 1


@pytest.mark.usefixtures("suspended")
def test_only_a_terminal_gets_the_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", file := io.StringIO())
    failure()
    assert file.getvalue() == ""


def test_a_line_of_very_many_words_is_read_in_one_pass() -> None:
    options, rest = getopt("ipvsadm", ["-L", *["word"] * 1_000_000], KINDS, NAMES)
    assert (options, len(rest)) == ([("L", None)], 1_000_000)


def test_a_very_long_word_is_not_quoted_whole(capsys: pytest.CaptureFixture[str]) -> None:
    cli.print_error("ipvsadm", UsageError(f"{'x' * 100_000} is not an address."))
    assert capsys.readouterr().err.endswith("xxx ... (cut off)\n")


def test_rules_may_begin_with_a_byte_order_mark() -> None:
    assert cli.read_rules(io.BytesIO(b"\xef\xbb\xbf-A -t 203.0.113.1:80\n")) == "-A -t 203.0.113.1:80\n"


def test_a_path_that_is_too_long_for_a_socket() -> None:
    with pytest.raises(channel.ChannelError) as failed:
        channel.call("/" + "x" * 200, {"do": "list"})
    assert "name a shorter one in LVS_SOCKET" in cli.no_answer("/" + "x" * 200, failed.value)
