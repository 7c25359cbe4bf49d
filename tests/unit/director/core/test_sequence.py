"""Sequence shifts: what one side adds, the other takes away, also around 2^32."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.sequence import Shift, after

numbers = st.integers(0, 2**32 - 1)


@given(
    start=numbers, difference=st.integers(-10, 10), length=st.integers(12, 1400), more=st.integers(0, 5000)
)
def test_an_acknowledgement_means_what_the_server_sent(
    start: int, difference: int, length: int, more: int
) -> None:
    """The server sent `length` bytes at `start` and `more` behind; the client got them shifted."""
    shift = Shift()
    shift.changed(start, difference)
    end = (start + length + more) % 2**32
    seen_by_client = (end + shift.for_sequence(end)) % 2**32
    assert (seen_by_client + shift.for_acknowledgement(seen_by_client)) % 2**32 == end


def test_a_second_change_adds_to_the_first() -> None:
    shift = Shift()
    shift.changed(100, 3)
    shift.changed(500, -1)
    assert [shift.for_sequence(at) for at in (200, 500, 501)] == [3, 3, 2]


@pytest.mark.parametrize(("one", "other"), [(2, 1), (0, 2**32 - 1), (5, 2**32 - 5)])
def test_after_wraps(one: int, other: int) -> None:
    assert after(one, other)
    assert not after(other, one)
    assert not after(one, one)
