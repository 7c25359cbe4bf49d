"""However a TCP stream is segmented: lines are read once and in order, both ends see a consistent stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.packet import ACK, FIN, SYN, Packet
from director.core.tcp_stream import Edits, LineReader, distance
from tests.unit.director.core.support import FTP, client, tcp

# ---- lines ----


MODULUS = 1 << 32


def segment(sequence: int, text: bytes, flags: int = ACK) -> Packet:
    return tcp(client(1), FTP, flags, sequence=sequence % MODULUS, payload=text)


@given(
    text=st.lists(st.sampled_from([b"a", b"bc", b"\r\n", b"\n"]), max_size=20).map(b"".join),
    first=st.integers(0, MODULUS - 1),
    segments=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=60),
)
def test_the_lines_read_are_the_start_of_the_text(
    text: bytes, first: int, segments: list[tuple[int, int]]
) -> None:
    reader = LineReader()
    reader.read(segment(first, b"", SYN))
    reader.read(segment(first + 1, b"-"))
    text, read = b"-" + text, b""
    for start, length in segments:
        lines = reader.read(segment(first + 1 + start, text[start : start + length]))
        for line in lines or []:
            assert line.start == (first + 1 + len(read)) % MODULUS
            read += line.text
    assert text.startswith(read)
    assert (read + reader.unfinished) in (text, text[: len(read + reader.unfinished)])
    reader.read(segment(first + 1, text))
    assert reader.position == (first + 1 + len(text)) % MODULUS


def test_a_gap_is_reported_only_for_text_and_fin() -> None:
    reader = LineReader()
    assert reader.read(segment(100, b"x\n")) is not None
    assert reader.read(segment(110, b"y\n")) is None
    assert reader.read(segment(110, b"", FIN | ACK)) is None
    assert reader.read(segment(110, b"")) == []


def test_an_endless_line_takes_bounded_memory() -> None:
    reader = LineReader()
    for start in range(0, 10_000, 100):
        reader.read(segment(start, b"x" * 100))
    assert len(reader.unfinished) <= 512


# ---- edits ----


MODULUS = 1 << 32
numbers = st.integers(0, MODULUS - 1)
texts = st.binary(min_size=1, max_size=8)
# the text, as pieces that stay and pieces that are replaced: (kept, old, new)
parts = st.lists(st.tuples(st.binary(max_size=6), texts, texts), max_size=4)


def streams(first: int, parts: list[tuple[bytes, bytes, bytes]]) -> tuple[Edits, bytes, bytes]:
    """The edits, the original text, and the text that must arrive."""
    edits, original, rewritten = Edits(), b"", b""
    for kept, old, new in parts:
        edits.replace((first + len(original) + len(kept)) % MODULUS, len(old), new)
        original, rewritten = original + kept + old, rewritten + kept + new
    return edits, original + b"end", rewritten + b"end"


@given(first=numbers, parts=parts, ends=st.tuples(st.integers(0, 70), st.integers(0, 70)))
def test_every_segment_becomes_its_part_of_the_new_stream(
    first: int, parts: list[tuple[bytes, bytes, bytes]], ends: tuple[int, int]
) -> None:
    edits, original, rewritten = streams(first, parts)
    start, end = sorted(min(at, len(original)) for at in ends)
    sequence = (first + start) % MODULUS
    data = edits.rewritten(sequence, original[start:end])
    place = distance(first, sequence + edits.for_sequence(sequence))
    assert rewritten[place : place + len(data)] == data
    following = (first + end) % MODULUS
    assert distance(first, following + edits.for_sequence(following)) == place + len(data)


@given(first=numbers, parts=parts, at=st.integers(0, 70))
def test_an_acknowledgement_never_covers_text_not_received(
    first: int, parts: list[tuple[bytes, bytes, bytes]], at: int
) -> None:
    edits, original, rewritten = streams(first, parts)
    at = min(at, len(rewritten))
    acknowledged = (first + at) % MODULUS
    meant = distance(first, acknowledged + edits.for_acknowledgement(acknowledged))
    assert 0 <= meant <= len(original)
    number = (first + meant) % MODULUS
    assert meant + edits.for_sequence(number) <= at
    if at == len(rewritten):
        assert meant == len(original)


def test_old_edits_keep_their_growth() -> None:
    edits = Edits()
    for number in range(10):
        edits.replace(100 * number, 2, b"abc")
    assert edits.for_sequence(1000) == 10
    assert edits.for_acknowledgement(1010) == -10


@pytest.mark.parametrize(("start", "end", "far"), [(1, 2, 1), (2**32 - 1, 0, 1), (5, 2**32 - 5, -10)])
def test_distance_wraps(start: int, end: int, far: int) -> None:
    assert distance(start, end) == far
