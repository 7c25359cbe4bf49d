"""Lines are read once and in order, however the segments come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from director.core.packet import ACK, FIN, SYN, Packet
from director.core.tcp_stream import LineReader
from tests.unit.director.core.support import FTP, client, tcp

MODULUS = 1 << 32


def said(sequence: int, text: bytes, flags: int = ACK) -> Packet:
    return tcp(client(1), FTP, flags, sequence=sequence % MODULUS, payload=text)


@given(
    text=st.lists(st.sampled_from([b"a", b"bc", b"\r\n", b"\n"]), max_size=20).map(b"".join),
    first=st.integers(0, MODULUS - 1),
    segments=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=60),
)
def test_what_is_read_is_the_beginning_of_the_text(
    text: bytes, first: int, segments: list[tuple[int, int]]
) -> None:
    reader = LineReader()
    reader.read(said(first, b"", SYN))
    reader.read(said(first + 1, b"-"))
    text, read = b"-" + text, b""
    for start, length in segments:
        lines = reader.read(said(first + 1 + start, text[start : start + length]))
        for line in lines or []:
            assert line.start == (first + 1 + len(read)) % MODULUS
            read += line.text
    assert text.startswith(read)
    assert (read + reader.unfinished) in (text, text[: len(read + reader.unfinished)])
    reader.read(said(first + 1, text))
    assert reader.position == (first + 1 + len(text)) % MODULUS


def test_a_gap_is_reported_for_text_and_for_the_end_only() -> None:
    reader = LineReader()
    assert reader.read(said(100, b"x\n")) is not None
    assert reader.read(said(110, b"y\n")) is None
    assert reader.read(said(110, b"", FIN | ACK)) is None
    assert reader.read(said(110, b"")) == []


def test_a_line_without_end_takes_no_memory() -> None:
    reader = LineReader()
    for start in range(0, 10_000, 100):
        reader.read(said(start, b"x" * 100))
    assert len(reader.unfinished) <= 512
