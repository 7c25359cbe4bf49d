"""Live displays leave the streams alone; tables use characters that the terminal has."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from labs.terminal import screen

ROOT = Path(__file__).resolve().parents[4]


def test_standard_output_stays_the_real_one_during_a_live_display() -> None:
    before = sys.stdout, sys.stderr
    with screen.progress(Console(force_terminal=True), screen.spinner_column()) as moving:
        moving.add_task("something")
        assert (sys.stdout, sys.stderr) == before


def test_a_live_display_never_hides_the_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-\\ and SIGKILL leave no process to show it again."""
    monkeypatch.setattr(screen, "is_terminal", lambda: True)
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    with screen.busy("something"):
        pass
    shown = capsys.readouterr().out
    assert "something" in shown
    assert "\x1b[?25l" not in shown


def test_no_other_module_creates_a_live_display_that_redirects_streams() -> None:
    """rich does so unless it is told not to: Progress, Live and Status alike."""
    sources = [path for path in ROOT.glob("[a-z]*/**/*.py") if path.parts[len(ROOT.parts)] != "tests"]
    assert len(sources) > 100
    made = re.compile(r"\b(Progress|Live|Status|Bar)\((?!Bar\))|\.status\(|\btrack\(")
    rich = re.compile(r"from rich\.(progress|live|status) import .*\b(Progress|Live|Status|track)\b")
    for path in sources:
        text = path.read_text("utf-8")
        if rich.search(text) and made.search(text):
            assert "KEEP_STREAMS" in text, path
        assert ".status(" not in text, path


@pytest.mark.parametrize(
    ("encoding", "term", "expected"),
    [
        ("utf-8", "xterm", box.ROUNDED),
        ("UTF-8", "xterm-256color", box.ROUNDED),
        ("utf-8", "dumb", box.ASCII2),
        ("iso-8859-1", "xterm", box.ASCII2),
        ("ascii", "xterm", box.ASCII2),
        ("utf-8", "", box.ASCII2),
    ],
)
def test_tables_use_characters_of_the_terminal(
    encoding: str, term: str, expected: box.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stream:
        def isatty(self) -> bool:
            return True

    stream = Stream()
    stream.encoding = encoding  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", term)
    assert screen.table_box() is expected


def test_without_standard_streams_nothing_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stdin", None)
    assert not screen.is_terminal()
    assert not screen.is_interactive()
    assert screen.is_plain()


def test_piped_lines_have_no_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title="A title", title_justify="left")
    table.add_column("one column")
    table.add_row("a cell")
    for what in (Markdown("# Title\n\nText\n\n- a point\n\n```\ncode\n```\n"), table, "words   "):
        screen.make_console().print(what)
    shown = capsys.readouterr().out
    assert {"Title", "code", "A title"} <= {line.strip() for line in shown.splitlines()}
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []


def test_a_sentence_on_a_terminal_wraps_and_keeps_a_path_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, console = f"/tmp/{'long-' * 5}name", Console(width=20)
    screen.print_wrapped(console, f"Written: {path}")
    monkeypatch.setattr(screen, "is_terminal", lambda: True)
    screen.print_wrapped(console, f"hosts: c1 c2 r0 d rs1 {path}", indent="  ")
    assert capsys.readouterr().out == f"Written: {path}\nhosts: c1 c2 r0 d\n  rs1\n  {path}\n"


def test_columns_with_blanks_make_room_for_a_long_word(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("lab", "student", "running for", "checks passed", "hints", "folder")
    row = ("lab-nat", "", "7 min", "", "", "20261128-160548-lab-nat")
    Console(width=80).print(screen.text_table(columns, [row]))
    lines = capsys.readouterr().out.splitlines()
    assert {len(line) for line in lines} == {80}
    assert row[-1] in "\n".join(lines)


def test_a_word_too_long_for_a_table_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    path = f"/tmp/{'folder/' * 15}drain.sh"
    row = ("The script ends", "no error", f"it left {path} running")
    Console(width=80).print(screen.text_table(("check", "expected", "observed"), [row]))
    lines = capsys.readouterr().out.splitlines()
    assert {len(line) for line in lines} == {80}
    assert path in "".join(line.strip("|").split("|")[-1].strip() for line in lines if line[0] == "|")
