"""Timers, compared with a plain list of expiry times."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from director.core.timers import RENEWAL, UNSET, Timers


@dataclass(eq=False)
class Thing:
    expires: float = 0.0
    scheduled: float = UNSET
    children: int = 0


times = st.floats(0.01, 30)
steps = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["keep", "forget", "wait"]), times), max_size=50
)


@given(steps=steps)
def test_every_item_expires_once_and_in_time(steps: list[tuple[int, str, float]]) -> None:
    timers: Timers[Thing] = Timers()
    things = [Thing() for _ in range(5)]
    ends: dict[int, float] = {}
    now = 0.0
    for number, action, seconds in steps:
        if action == "keep":
            timers.refresh(things[number], now + seconds)
            ends[number] = now + seconds
        elif action == "forget":
            timers.cancel(things[number])
            ends.pop(number, None)
        else:
            now += seconds
            ended = sorted(things.index(thing) for thing in timers.expired(now))
            assert ended == sorted(number for number, end in ends.items() if end <= now)
            ends = {number: end for number, end in ends.items() if end > now}


def test_an_item_with_children_lives_another_minute() -> None:
    timers: Timers[Thing] = Timers()
    thing = Thing(children=1)
    timers.refresh(thing, 10)
    assert list(timers.expired(10)) == []
    thing.children = 0
    assert list(timers.expired(10 + RENEWAL - 1)) == []
    assert list(timers.expired(10 + RENEWAL)) == [thing]


def test_a_packet_sets_no_timer() -> None:
    timers: Timers[Thing] = Timers()
    thing = Thing()
    timers.refresh(thing, 100)
    for now in range(1, 1000):
        timers.refresh(thing, 100 + now)
    assert thing.scheduled == 100
    assert list(timers.expired(1098)) == []
    assert list(timers.expired(1099)) == [thing]
