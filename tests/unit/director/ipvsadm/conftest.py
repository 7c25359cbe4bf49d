"""ipvsadm with a stand-in for the director and for name lookups."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.director.ipvsadm.support import Machine, Table, stand_in


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Table, Machine]:
    return stand_in(monkeypatch, tmp_path)


@pytest.fixture
def table(stand_ins: tuple[Table, Machine]) -> Table:
    return stand_ins[0]


@pytest.fixture
def machine(stand_ins: tuple[Table, Machine]) -> Machine:
    return stand_ins[1]
