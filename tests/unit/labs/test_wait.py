from __future__ import annotations

import pytest

from labs.errors import BuildFailed
from labs.wait import look_until, wait_for


def test_returns_what_was_seen_once_it_is_good() -> None:
    answers = iter(["", "", "there"])
    assert wait_for(lambda: next(answers), 5, "it", BuildFailed) == "there"


def test_says_what_it_waited_for() -> None:
    with pytest.raises(BuildFailed, match=r"0\.01 s for the moon"):
        wait_for(lambda: False, 0.01, "the moon", BuildFailed)


def test_look_until_gives_the_last_look_when_time_is_over() -> None:
    assert look_until(lambda: 3, lambda seen: seen == 4, 0.01) == 3
