"""How often a director is asked for its tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from director.control.channel import ChannelError
from view import poll
from view.poll import Poller
from view.story import ADDED


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize("page_is_open", [True, False])
@pytest.mark.parametrize(("took", "pause"), [(0.001, None), (0.1, 6.0), (2.0, 10.0)])
def test_a_slow_answer_is_asked_for_less_often(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page_is_open: bool, took: float, pause: float | None
) -> None:
    clock = Clock()
    monkeypatch.setattr(poll, "time", clock)
    poller = Poller(tmp_path, {}, {}, lambda: page_is_open)

    def answered() -> Iterator[dict[str, Any]]:
        clock.now += took
        yield {"kind": "tables"}

    assert poller.once(answered) == pytest.approx(pause or (0.5 if page_is_open else 2.0))
    assert (tmp_path / ADDED).read_text() == f'{{"time": {took}, "kind": "tables"}}\n'


def test_a_director_that_does_not_answer_is_asked_again_soon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is frozen or dead: it has done nothing in all that time."""
    clock = Clock()
    monkeypatch.setattr(poll, "time", clock)

    def silent() -> Iterator[dict[str, Any]]:
        clock.now += 20
        raise ChannelError("timed out")
        yield

    assert Poller(tmp_path, {}, {}, lambda: True).once(silent) == 0.5
