"""Reading what the clients wrote down while they are still writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from compare.samples import Sample, bytes_at, samples_in


def test_a_line_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    log = tmp_path / "load.log"
    assert samples_in(log) == []
    log.write_text(
        'a warning\n{"at": 1.0, "bytes": 5, "delivering": 1, "failed": 0}\n{"at": 1.1, "bytes": 9, "deli'
    )
    assert samples_in(log) == [Sample(1.0, 5, 1, 0)]


def test_between_two_samples_bytes_are_in_proportion() -> None:
    samples = [Sample(1.0, 100, 1, 0), Sample(2.0, 300, 1, 0)]
    assert bytes_at(samples, 1.5) == pytest.approx(200)
    assert bytes_at(samples, 1.0) == pytest.approx(100)
    assert bytes_at(samples, 5.0) == 300
    assert bytes_at(samples, 0.5) == 0
