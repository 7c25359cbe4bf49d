"""The kept result of docs/comparison agrees with its page and with the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compare import models
from compare.results import Journal, Results

KEPT = Path(__file__).resolve().parents[3] / "docs" / "comparison"


@pytest.fixture(scope="module")
def kept() -> Results:
    return Results.of(Journal(KEPT / "measured.jsonl"))


def test_it_is_whole_and_its_json_is_made_of_its_journal(kept: Results) -> None:
    assert kept.complete
    assert json.loads((KEPT / "compare.json").read_text()) == json.loads(json.dumps(kept.as_dict()))


def test_nat_has_its_knee_where_the_links_meet_and_the_others_have_none(kept: Results) -> None:
    nat, tun, dr = (kept.knee(method) for method in ("nat", "tun", "dr"))
    assert nat is not None
    assert nat.servers == pytest.approx(10, rel=0.05)
    for knee in (tun, dr):
        assert knee is not None
        assert (knee.servers, knee.measured_to) == (None, 100)


@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_the_model_is_within_five_percent_of_every_point(kept: Results, method: str) -> None:
    away = models.deviations(kept, method)
    assert len(away) == 7
    assert max(map(abs, away.values())) < 0.05


def test_the_knee_that_the_model_predicted_for_tun_was_measured(kept: Results) -> None:
    """Calibrated up to 100 servers, it says what 200 deliver, with links of half the rate."""
    model = models.calibrated(kept, "tun")
    assert model is not None
    further = Results.of(Journal(KEPT / "tun-200.jsonl"))
    last = further.of_method("tun")[-1]
    assert last.servers == 200
    assert last.limited_by == "the director's link"
    measured = further.in_servers(last.delivered)
    assert kept.in_servers(model.delivered(200)) == pytest.approx(measured, rel=0.05)
