"""What is read from the programs that measure."""

from __future__ import annotations

import pytest

from bench import contenders, measures
from bench.measures._wrk import number_behind
from labs.errors import BuildFailed

SAID = """Running 3s test @ http://203.0.113.1:80/
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   241.15us   71.41us   1.92ms   93.27%
  Latency Distribution
     50%  230.00us
     99%    1.52ms
Requests/sec:   4071.28
"""


def test_numbers_of_wrk() -> None:
    assert number_behind("50%", SAID) == 230
    assert number_behind("99%", SAID) == 1520
    assert number_behind("Requests/sec:", SAID) == 4071.28


def test_a_number_that_is_not_there() -> None:
    with pytest.raises(BuildFailed, match="nothing of '75%'"):
        number_behind("75%", SAID)


def test_every_file_says_what_it_has_to() -> None:
    for name in measures.names():
        module = measures.load(name)
        assert module.FIGURES
        assert callable(module.measure)
    for name in contenders.names():
        module = contenders.load(name)
        assert set(module.METHODS) <= {"nat", "tun", "dr"}
        assert module.ABOUT
        assert isinstance(module.OFFLOAD, bool)
        assert callable(module.set_up)
    figures = [figure for name in measures.names() for figure in measures.load(name).FIGURES]
    assert len(figures) == len(set(figures))
