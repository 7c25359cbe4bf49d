"""What people try in an exercise: the right repairs pass, and the wrong ones are refused by the right check.

The exercises whose checks know of a particular trick are tried in every run; all of them with --long.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from classroom import catalogue
from classroom.variants import variant_for
from tests.conftest import LONG
from tests.labs.forked import run_forked
from tests.labs.repairs import TRIES
from tests.labs.support import FROM_CHECKOUT, has_two_directors

TRIAL = Path(__file__).with_name("repair_trial.py")
ALWAYS = ("e01", "e12")
SLOWEST, SLOWEST_OF_TWO = 90.0, 240.0  # seconds for all tries, on an idle machine; with two directors


def student(name: str) -> str:
    """Someone with the exercise's first fault, in its first lab."""
    method = catalogue.load(name).methods[0]
    ids = (f"s{number}" for number in range(200))
    return next(
        identifier
        for identifier in ids
        if (variant := variant_for(name, identifier)).method == method and variant.number in (0, None)
    )


@pytest.mark.parametrize("name", [name for name in TRIES if LONG or name in ALWAYS])
def test_right_repairs_pass_and_wrong_ones_are_refused(name: str, runs: Path) -> None:
    environment = {**FROM_CHECKOUT, "LVS_RUNS": str(runs)}
    limit = SLOWEST_OF_TWO if has_two_directors(name) else SLOWEST
    done = run_forked(TRIAL, (name, student(name)), environment, limit)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [result["what"] for result in found] == [repair.what for repair in TRIES[name]]
    for report, tried in zip(found, TRIES[name], strict=True):
        assert set(tried.fails) <= set(report["failed"]), report
        assert bool(tried.fails) == bool(report["failed"]), report


@pytest.mark.parametrize("name", TRIES)
def test_three_right_and_three_wrong_repairs_are_known(name: str) -> None:
    right = [repair for repair in TRIES[name] if not repair.fails]
    assert len(right) >= 3
    assert len(TRIES[name]) - len(right) >= 3
    judges = {judge.__name__ for judge in catalogue.load(name).checks}
    assert {check for repair in TRIES[name] for check in repair.fails} <= judges
