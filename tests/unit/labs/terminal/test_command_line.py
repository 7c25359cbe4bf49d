"""A wrong command line is refused with a suggestion; help is grouped by audience."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from labs.errors import BadRequest
from labs.terminal.command_line import LabProgram, OwnConfig, for_view

ROOT = Path(__file__).resolve().parents[4]


def run(*words: str) -> None:
    program = LabProgram(binary="./inv", version=version("invoke"), config_class=OwnConfig)
    program.run(["./inv", "--search-root", str(ROOT), *words], exit=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "lab_nat",
            "There is no command 'lab_nat'. Did you mean ./inv lab-nat? ./inv --list shows all commands.",
        ),
        ("--help chekc", "There is no command 'chekc'. Did you mean ./inv check?"),
        ("help", "Did you mean ./inv --help?"),
        ("xyzzy", "There is no command 'xyzzy'. ./inv --list shows all commands."),
        ("--bogus", "There is no option --bogus"),
        ("--servers 5 lab-nat", "--servers belongs after the command, as in ./inv lab-nat --servers"),
        ("lab-nat --server 5", "./inv lab-nat has no option --server. Did you mean --servers?"),
        ("lab-nat --bogus", "./inv lab-nat has no option --bogus. ./inv lab-nat --help lists its options."),
        ("lab-nat --sheduler rr", "Did you mean --scheduler?"),
        ("lab-nat --show_scripts", "Did you mean --show-scripts?"),
        ("lab-nat 5", "./inv lab-nat takes no argument '5'. ./inv lab-nat --help lists its options."),
        ("lab-nat cli", "Did you mean --cli?"),
        ("lab-nat --servers", "--servers needs a value: see ./inv lab-nat --help."),
        ("exercise", "./inv exercise needs a name: an exercise that ./inv exercises lists."),
        (
            "grade",
            "./inv grade needs a folder with the submissions; ",
        ),
        ("lab-nat --report=", "--report is empty"),
        ("exercise e04 --student=", "--student is empty"),
        ("submit --output=", "--output is empty"),
    ],
)
def test_a_wrong_command_line_comes_with_a_suggestion(words: str, message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        run(*words.split(" "))
    assert message in str(refused.value)


@pytest.mark.parametrize("words", [(), ("-h",), ("--list",), ("--list", "labs")])
def test_the_commands_are_listed(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    run(*words)
    assert "  lab-nat  " in capsys.readouterr().out


def test_the_commands_are_listed_by_audience(capsys: pytest.CaptureFixture[str]) -> None:
    run("--list")
    lines = capsys.readouterr().out.splitlines()
    found = [line.split()[0] if line.startswith("  ") else line for line in lines if line.strip()]
    order = ["For students:", "lab-nat", "exercise", "For teachers:", "grade", "For developers:", "test"]
    assert [word for word in found if word in order] == order


@pytest.mark.parametrize("command", ["lab-nat", "submit", "shell", "grade", "vm"])
def test_h_is_for_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(command, "-h")
    assert capsys.readouterr().out
    run(command, "--help")
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: ./inv {command}")
    assert "[OPTIONS]" in shown.splitlines()[0]
    assert "  -h " not in shown


def test_help_fits_a_terminal_of_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    run("--list")
    listed = capsys.readouterr().out.splitlines()
    shown = list(listed)
    for command in (line.split()[0] for line in listed if line.startswith("  ")):
        run(command, "--help")
        shown += capsys.readouterr().out.splitlines()
    assert len(shown) > 200
    assert [line for line in shown if len(line) > 80 or line.lstrip().startswith(",")] == []


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("view", "view"),
        ("view nat", "view --run nat"),
        ("view nat --html x", "view --run nat --html x"),
        ("view --html x nat", "view --html x --run nat"),
        ("view --html=x nat", "view --html=x --run nat"),
        ("view -t x", "view -t x"),
        ("view --wall nat", "view --wall --run nat"),
        ("--search-root /lab view nat", "--search-root /lab view --run nat"),
        ("exercise view", "exercise view"),
    ],
)
def test_the_run_to_view_may_stand_anywhere(typed: str, understood: str) -> None:
    assert for_view(["./inv", *typed.split()]) == ["./inv", *understood.split()]
