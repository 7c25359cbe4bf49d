"""The prompt of a lab whose input is a pipe."""

from __future__ import annotations

import io
import os
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("mininet", reason="Mininet is missing: run sudo ./inv --list, which installs it")

from labs.run.prompt import Prompt


class Interrupted(io.TextIOWrapper):
    """An open pipe that nobody writes to, while the one who waits is interrupted."""

    def readline(self, _size: int | None = -1) -> str:  # type: ignore[override]
        raise KeyboardInterrupt


def test_ctrl_c_leaves_a_prompt_into_which_no_one_can_type(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with Interrupted(os.fdopen(reading, "rb")) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        Prompt({})
    os.close(writing)


@pytest.mark.parametrize("director", ["d", "d1"])
def test_help_names_a_director_of_this_lab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], director: str
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"help\nexit\n")
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        Prompt({director: SimpleNamespace(cmd=lambda _line: "", waiting=False)})
    os.close(writing)
    assert f"c1 ping -c 1 {director}\n" in capsys.readouterr().err
