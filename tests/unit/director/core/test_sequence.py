"""Edits in a stream: however it is cut into segments, both ends see one consistent stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.tcp_stream import Edits, distance

MODULUS = 1 << 32
numbers = st.integers(0, MODULUS - 1)
texts = st.binary(min_size=1, max_size=8)
# what is said, as pieces that stay and pieces that are replaced: (kept, old, new)
parts = st.lists(st.tuples(st.binary(max_size=6), texts, texts), max_size=4)


def streams(first: int, parts: list[tuple[bytes, bytes, bytes]]) -> tuple[Edits, bytes, bytes]:
    """The edits, what was said, and what has to arrive."""
    edits, said, heard = Edits(), b"", b""
    for kept, old, new in parts:
        edits.replace((first + len(said) + len(kept)) % MODULUS, len(old), new)
        said, heard = said + kept + old, heard + kept + new
    return edits, said + b"end", heard + b"end"


@given(first=numbers, parts=parts, ends=st.tuples(st.integers(0, 70), st.integers(0, 70)))
def test_any_segment_arrives_as_its_part_of_the_new_stream(
    first: int, parts: list[tuple[bytes, bytes, bytes]], ends: tuple[int, int]
) -> None:
    edits, said, heard = streams(first, parts)
    start, end = sorted(min(at, len(said)) for at in ends)
    sequence = (first + start) % MODULUS
    data = edits.rewritten(sequence, said[start:end])
    place = distance(first, sequence + edits.for_sequence(sequence))
    assert heard[place : place + len(data)] == data
    following = (first + end) % MODULUS
    assert distance(first, following + edits.for_sequence(following)) == place + len(data)


@given(first=numbers, parts=parts, at=st.integers(0, 70))
def test_an_acknowledgement_never_covers_what_was_not_heard(
    first: int, parts: list[tuple[bytes, bytes, bytes]], at: int
) -> None:
    edits, said, heard = streams(first, parts)
    at = min(at, len(heard))
    acknowledged = (first + at) % MODULUS
    meant = distance(first, acknowledged + edits.for_acknowledgement(acknowledged))
    assert 0 <= meant <= len(said)
    number = (first + meant) % MODULUS
    assert meant + edits.for_sequence(number) <= at
    if at == len(heard):
        assert meant == len(said)


def test_old_edits_keep_their_growth() -> None:
    edits = Edits()
    for number in range(10):
        edits.replace(100 * number, 2, b"abc")
    assert edits.for_sequence(1000) == 10
    assert edits.for_acknowledgement(1010) == -10


@pytest.mark.parametrize(("start", "end", "far"), [(1, 2, 1), (2**32 - 1, 0, 1), (5, 2**32 - 5, -10)])
def test_distance_wraps(start: int, end: int, far: int) -> None:
    assert distance(start, end) == far
