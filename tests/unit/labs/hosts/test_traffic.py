"""What runs on the clients of lab-ha while something fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from labs.hosts.traffic import Prober


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    reading, writing = os.pipe()
    with open(reading) as standard_input, open(writing, "w"):
        monkeypatch.setattr(sys, "stdin", standard_input)
        yield


@pytest.mark.usefixtures("standard_input")
@pytest.mark.parametrize("slowness", [1, 17])
def test_a_slow_machine_is_not_filled_with_probes(slowness: float) -> None:
    prober = Prober("127.0.0.1", 80, slowness)
    prober.sent = prober.last = 100.0
    assert not prober.is_due(100 + 0.0009 * slowness)
    assert prober.is_due(100 + 0.0011 * slowness)
