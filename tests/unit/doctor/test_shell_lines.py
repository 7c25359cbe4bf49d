"""Commands in the doctor's tables: on any width they can be typed as shown."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from doctor.shell_lines import ShellLines, folded

REPAIR = "setsid /srv/lab/.venv/bin/python -m realserver_setup.ftpd --root /run/lvs/rs2 > /dev/null 2>&1 &"
QUOTED = "nft 'add chain ip f c { policy accept; }'"


def test_a_short_command_stays_as_it_is() -> None:
    assert folded("ip route", 8) == ["ip route"]


def test_a_long_command_is_continued() -> None:
    assert folded(REPAIR, 70) == [
        "setsid /srv/lab/.venv/bin/python -m realserver_setup.ftpd --root \\",
        "    /run/lvs/rs2 > /dev/null 2>&1 &",
    ]


def test_quotes_are_not_broken() -> None:
    assert folded(f"{QUOTED} now", 20) == [
        "nft \\",
        "    'add chain ip f c { policy accept; }' \\",
        "    now",
    ]


def test_a_comment_stays_a_comment() -> None:
    lines = folded("# make room there: df -h /run; du -xa /run | sort -n | tail", 30)
    assert len(lines) > 1
    assert all(line.startswith("#") for line in lines)


@given(st.lists(st.sampled_from(["ip", "route", "'a b'", '"c  d"', "via", "x" * 30, "&&"]), min_size=1))
def test_the_shell_reads_the_same_words(words: list[str]) -> None:
    line = " ".join(words)
    assert shlex.split("\n".join(folded(line, 20)).replace("\\\n", "")) == shlex.split(line)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_its_place(width: int) -> None:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(ShellLines(f"{REPAIR}\nip route"))
    lines = capture.get().splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[-1].strip() == "ip route"
