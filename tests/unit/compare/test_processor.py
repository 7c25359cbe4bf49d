"""Shares of processor time between two moments, from what proc(5) says."""

from __future__ import annotations

import os
import time

import pytest

from compare.processor import Processors


def test_shares_between_two_moments() -> None:
    first, last = Processors(0.0, 100.0, 200.0, 5.0), Processors(4.0, 102.0, 208.0, 6.0)
    assert first.idle_until(last) == pytest.approx(0.25)
    assert first.used_until(last) == pytest.approx(0.25)


def test_a_process_that_works_is_seen_working() -> None:
    first, began = Processors.now(os.getpid()), time.process_time()
    while (worked := time.process_time() - began) < 0.3:  # however long a busy machine takes for it
        sum(range(10_000))
    last = Processors.now(os.getpid())
    assert first.used_until(last) * (last.at - first.at) == pytest.approx(worked, abs=0.1)
    assert 0 <= first.idle_until(last) < 1


def test_a_process_that_is_gone_is_an_error() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(OSError, match=str(child)):
        Processors.now(child)
