"""The rule for the knee, applied to curves with a known knee."""

from __future__ import annotations

import random

import pytest

from compare.knee import find

COUNTS = (1, 2, 5, 10, 20, 50, 100)


def curve(knee: float, noise: float = 0.0, seed: int = 0) -> list[tuple[int, float]]:
    chance = random.Random(seed)
    return [(count, 50e3 * min(count, knee) * (1 + chance.uniform(-noise, noise))) for count in COUNTS]


@pytest.mark.parametrize("knee", [1.5, 5, 10, 14.9, 22.3, 60])
def test_the_knee_of_an_exact_curve_is_found_exactly(knee: float) -> None:
    found = find(curve(knee))
    assert found is not None
    assert found.servers == pytest.approx(knee, rel=1e-6)
    assert found.plateau == pytest.approx(50e3 * knee)
    assert found.error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_five_percent_of_noise_move_the_knee_by_less_than_ten(seed: int) -> None:
    print("seed", seed)
    found = find(curve(10, 0.05, seed))
    assert found is not None
    assert found.servers == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_a_noisy_line_has_no_knee(seed: int) -> None:
    print("seed", seed)
    found = find(curve(10_000, 0.08, seed))
    assert found is not None
    assert (found.servers, found.plateau) == (None, None)
    assert found.measured_to == 100
    assert found.at(100) == pytest.approx(5e6, rel=0.08)


def test_two_points_or_zero_rates_have_no_knee() -> None:
    assert find([(1, 50e3), (2, 100e3)]) is None
    assert find([(1, 0.0), (2, 0.0), (5, 0.0), (10, 1.0)]) is None


def test_the_order_of_the_points_does_not_matter() -> None:
    assert find(curve(10)[::-1]) == find(curve(10))
