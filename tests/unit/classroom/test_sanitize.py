"""Text of somebody else's."""

from __future__ import annotations

import pytest

from classroom.sanitize import natural_key, sanitize


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\n lines\t here ", "two lines here"),
        ("\x1b[31mred\x07", "?[31mred?"),
        ("a\u202eb\ud800\ufffec\x00", "a?b??c?"),
        ("größer", "größer"),
        ("x" * 400, "x" * 297 + "..."),
    ],
)
def test_it_can_be_printed(text: str, shown: str) -> None:
    assert sanitize(text) == shown


def test_numbers_count_as_numbers() -> None:
    assert sorted(["s10", "s2", "b", "10", "9", "s2x"], key=natural_key) == [
        "b",
        "s2",
        "s2x",
        "s10",
        "9",
        "10",
    ]
