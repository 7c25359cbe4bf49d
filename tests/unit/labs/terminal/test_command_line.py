"""A command line that makes no sense is told with what does."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from labs.errors import BadRequest
from tasks import LabProgram, _OwnConfig

ROOT = Path(__file__).resolve().parents[4]


def run(*words: str) -> None:
    program = LabProgram(binary="./inv", version=version("invoke"), config_class=_OwnConfig)
    program.run(["./inv", "--search-root", str(ROOT), *words], exit=False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("lab_nat", "There is no command 'lab_nat': did you mean ./inv lab-nat? ./inv --list shows all."),
        ("--help chekc", "There is no command 'chekc': did you mean ./inv check?"),
        ("help", "did you mean ./inv --help?"),
        ("xyzzy", "There is no command 'xyzzy': ./inv --list shows all."),
        ("--bogus", "There is no option --bogus"),
        ("--servers 5 lab-nat", "--servers belongs behind the command: ./inv lab-nat --servers"),
        ("lab-nat --server 5", "./inv lab-nat has no option --server: did you mean --servers?"),
        ("lab-nat --show_scripts", "did you mean --show-scripts?"),
        ("lab-nat --bogus", "./inv lab-nat has no option --bogus: ./inv lab-nat --help lists its options."),
        ("lab-nat --sheduler rr", "did you mean --scheduler?"),
        ("lab-nat 5", "./inv lab-nat has no use for '5': ./inv lab-nat --help lists its options."),
        ("lab-nat cli", "did you mean --cli?"),
        ("lab-nat --servers", "--servers needs a value: ./inv lab-nat --help says which."),
        ("exercise", "./inv exercise needs a name: one of ./inv exercises."),
        ("lab-nat --report=", "--report is empty"),
        ("exercise e04 --student=", "--student is empty"),
        ("submit --output=", "--output is empty"),
    ],
)
def test_what_makes_no_sense_comes_with_what_does(words: str, told: str) -> None:
    with pytest.raises(BadRequest) as refused:
        run(*words.split(" "))
    assert told in str(refused.value)


@pytest.mark.parametrize("words", [(), ("-h",), ("--list",), ("--list", "labs")])
def test_the_commands_are_listed(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    run(*words)
    assert "  lab-nat  " in capsys.readouterr().out


@pytest.mark.parametrize("command", ["lab-nat", "submit", "shell", "grade", "vm"])
def test_h_is_for_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(command, "-h")
    assert capsys.readouterr().out
    run(command, "--help")
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: ./inv {command}")
    assert "[OPTIONS]" in shown.splitlines()[0]
    assert "  -h " not in shown
