"""What stands between client and server: what a contender has nothing for is said, and not tried."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench import contenders, measures, run
from bench.results import Results


@pytest.mark.parametrize("name", contenders.names())
def test_what_a_contender_lacks_are_measures(name: str) -> None:
    assert set(getattr(contenders.load(name), "LACKS", {})) <= set(measures.names())


def test_what_a_contender_lacks_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    packets = SimpleNamespace(measure=never, FIGURES=measures.load("packets").FIGURES)
    monkeypatch.setattr(measures, "load", lambda _: packets)
    results = Results({}, {})
    testbed: Any = None
    run._measure("packets", testbed, 1, (0, "nat", "haproxy"), results)
    assert [(one["figure"], one["why"]) for one in results.missing] == [
        ("packets", "HAProxy forwards no UDP"),
        ("cpu", "HAProxy forwards no UDP"),
    ]
