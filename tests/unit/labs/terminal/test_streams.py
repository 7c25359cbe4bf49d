"""No character and no byte makes printing or reading fail."""

from __future__ import annotations

import io
import os
import sys

import pytest
from rich._spinners import SPINNERS
from rich.console import Console
from rich.markdown import Markdown

from labs.terminal import streams

Streams = tuple[io.BytesIO, io.TextIOWrapper]


@pytest.fixture(params=["ascii", "iso-8859-1", "utf-8"])
def printed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Standard output in some encoding, and the bytes written to it."""
    bytes_of = io.BytesIO()
    stream = io.TextIOWrapper(bytes_of, encoding=request.param, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    streams.never_fail()
    return bytes_of, stream


def test_a_character_becomes_one_plain_character(printed: Streams) -> None:
    raw, stream = printed
    print("╭─┬╮│…•→–?\N{BRAILLE PATTERN DOTS-1}", file=stream, flush=True)
    expected = "╭─┬╮│…•→–?⠁" if stream.encoding == "utf-8" else "+-++|.*>-??"
    assert raw.getvalue().decode(stream.encoding) == f"{expected}\n"


def test_letters_that_the_encoding_has_stay(printed: Streams) -> None:
    raw, stream = printed
    print("Käthe", file=stream, flush=True)
    assert raw.getvalue().decode(stream.encoding) == ("K?the\n" if stream.encoding == "ascii" else "Käthe\n")


def test_a_file_name_that_is_not_text_can_be_printed(printed: Streams) -> None:
    raw, stream = printed
    print(os.fsdecode(b"caf\xe9.lvs"), file=stream, flush=True)
    assert raw.getvalue() == b"caf?.lvs\n"


def test_all_box_characters_of_rich_can_be_printed(printed: Streams) -> None:
    raw, stream = printed
    console = Console(file=stream, force_terminal=True, width=40)
    console.print(Markdown("# Title\n\n* one\n\n> two\n\n---\n\n```\ncode\n```\n"))
    console.print(str(SPINNERS))
    stream.flush()
    assert raw.getvalue()


def test_input_in_another_encoding_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"K\xe4the\n"), encoding="utf-8"))
    streams.never_fail()
    assert sys.stdin.readline() == "K\N{REPLACEMENT CHARACTER}the\n"


def test_closed_streams_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    streams.never_fail()
