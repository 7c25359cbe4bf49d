"""What a check of failures does where the lab is not as it expects."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labs.checks import failures
from labs.checks.failures import Move
from labs.errors import BuildFailed
from labs.run.paired_director import PairedDirector
from labs.run.running import RunningLab

RUN = cast(RunningLab, SimpleNamespace())


@pytest.mark.parametrize(
    ("fails", "done"),
    [("before", []), ("after", ["stop", "boot"]), ("never", ["stop", "boot"])],
)
def test_only_a_move_that_was_made_is_undone(
    monkeypatch: pytest.MonkeyPatch, fails: str, done: list[str]
) -> None:
    """A director that was never stopped must not be booted: a second one would take its socket away."""
    acted: list[str] = []

    def moves(_run: RunningLab, move: Move) -> tuple[()]:
        if fails == "before":
            raise BuildFailed("the connections are not known.")
        move.act()
        if fails == "after":
            raise BuildFailed("no answer.")
        return ()

    monkeypatch.setattr(failures, "_moves", moves)
    there, back = (Move(name, lambda name=name: acted.append(name)) for name in ("stop", "boot"))  # type: ignore[misc]
    if fails == "never":
        failures._there_and_back(RUN, there, back)
    else:
        with pytest.raises(BuildFailed):
            failures._there_and_back(RUN, there, back)
    assert acted == done


def test_connections_are_opened_once_the_other_director_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a takeover its backup daemon may start a moment after the new master has begun to send."""
    roles = iter(["master", "master", "backup"])
    story: list[str] = []

    def ask(_what: str) -> dict[str, Any]:
        role = next(roles)
        story.append(role)
        return {"daemons": [{"role": role}]}

    def opened(_run: RunningLab) -> None:
        story.append("opened")
        raise BuildFailed("that is enough.")

    setup = SimpleNamespace(sync=True)
    active = SimpleNamespace(setup=setup)
    standby = SimpleNamespace(is_down=False, ask=ask, host=SimpleNamespace(name="d2"))
    pair = cast(tuple[PairedDirector, PairedDirector], (active, standby))
    monkeypatch.setattr(failures, "_by_role", lambda _run: pair)
    monkeypatch.setattr(failures, "_connections", opened)
    with pytest.raises(BuildFailed, match="enough"):
        failures.measured(RUN, Move("killed", lambda: None), cast(Any, None))
    assert story == ["master", "master", "backup", "opened"]


@pytest.mark.parametrize(("owns", "moved"), [([], False), ([True, False], False), ([True] * 99999, True)])
def test_a_director_that_only_clients_miss_is_not_replaced_by_heartbeat(
    monkeypatch: pytest.MonkeyPatch, owns: list[bool], moved: bool
) -> None:
    """Its heartbeats arrive by the other network; the cable is mended in any case."""
    done: list[str] = []

    @contextmanager
    def probes(_run: RunningLab) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(ask=lambda: {"last": time.monotonic() + 1})

    answers = iter(owns)
    setup = SimpleNamespace(interval=0.001, outside=SimpleNamespace(name="d1-eth0"))
    takeover = SimpleNamespace(over_both=True, silence=11)
    first = SimpleNamespace(host=SimpleNamespace(name="d1"), setup=setup, takeover=takeover)
    second = SimpleNamespace(host=SimpleNamespace(name="d2"), owns_vip=lambda: next(answers, False))
    monkeypatch.setattr(failures, "_pair", lambda _run: (first, second))
    monkeypatch.setattr(failures, "_probes", probes)
    monkeypatch.setattr(failures, "_MARGIN", 0)
    network = SimpleNamespace(set_cable=lambda name, up: done.append(f"{name} {up}"))
    owner, again = failures.director_cut_off(cast(RunningLab, SimpleNamespace(network=network)))
    assert done == ["d1-eth0 False", "d1-eth0 True"]
    assert (owner.ok, owner.observed, again.ok) == (not moved, "d2" if moved else "d1", True)
