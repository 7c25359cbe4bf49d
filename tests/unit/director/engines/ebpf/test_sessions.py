"""What was read in a control connection comes back as it was kept."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from director.core.ftp import Session
from director.core.tcp_stream import REMEMBERED, Edit, Edits, LineReader
from director.engines.ebpf import compiler
from director.engines.ebpf.sessions import SIZE, FtpSessions, packed, unpacked
from tests.unit.director.engines.ebpf.support import FakeMap

numbers = st.integers(0, 2**32 - 1)
readers = st.builds(LineReader, st.none() | numbers, numbers, st.binary(max_size=512))
edits = st.builds(Edit, numbers, st.integers(1, 512), st.binary(min_size=11, max_size=23))
sessions = st.builds(
    Session,
    readers,
    readers,
    st.builds(Edits, st.lists(edits, max_size=REMEMBERED), st.integers(-1000, 1000)),
    st.none() | numbers,
)


@given(sessions)
def test_packed_and_unpacked(session: Session) -> None:
    assert unpacked(packed(session)) == session


def test_the_program_has_room_for_it() -> None:
    text = (Path(compiler.__file__).parent / "program" / "maps.h").read_text()
    assert f"#define FTP_SESSION {SIZE}\n" in text


def test_a_full_map_is_no_reason_to_stop() -> None:
    kept = FtpSessions(FakeMap(0))  # type: ignore[arg-type]
    kept.keep(b"key", Session())
    assert kept.find(b"key") is None
