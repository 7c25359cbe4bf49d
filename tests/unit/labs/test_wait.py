from __future__ import annotations

from types import SimpleNamespace

import pytest

from labs import wait
from labs.errors import BadRequest, BuildFailed
from labs.wait import Deadline, patient, poll_until, slowness, wait_for


@pytest.fixture(autouse=True)
def _usual_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_PATIENCE", "1")


def test_returns_the_value_once_it_is_true() -> None:
    answers = iter(["", "", "there"])
    assert wait_for(lambda: next(answers), 5, "it", BuildFailed) == "there"


def test_a_timeout_names_what_was_awaited() -> None:
    with pytest.raises(BuildFailed, match=r"0\.01 s waiting for the moon"):
        wait_for(lambda: False, 0.01, "the moon", BuildFailed)


def test_poll_until_returns_the_last_value_when_time_is_up() -> None:
    assert poll_until(lambda: 3, lambda observed: observed == 4, 0.01) == 3


def test_a_slow_machine_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_PATIENCE", "2.5")
    assert patient(20) == 50
    monkeypatch.setenv("LVS_PATIENCE", "")
    monkeypatch.setattr(wait, "_pace", SimpleNamespace(slowness=lambda: 3.0))
    assert patient(20) == 60


def test_a_deadline_grows_with_a_machine_that_becomes_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(20)
    monkeypatch.setenv("LVS_PATIENCE", "5")
    assert deadline.limit() == 100
    monkeypatch.setenv("LVS_PATIENCE", "1")
    assert deadline.limit() == 100
    assert not deadline.has_passed()


def test_the_measured_factor_is_at_least_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LVS_PATIENCE")
    assert slowness() >= 1


@pytest.mark.parametrize("value", ["0.5", "-1", "inf", "nan", "ten"])
def test_patience_is_a_factor_of_1_or_more(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LVS_PATIENCE", value)
    with pytest.raises(BadRequest, match=f"LVS_PATIENCE='{value}'"):
        patient(20)
