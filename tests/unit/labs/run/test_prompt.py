"""The prompt of a lab whose input is a pipe."""

from __future__ import annotations

import io
import os
import sys

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
