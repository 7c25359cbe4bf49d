"""Results from a journal: what was measured and what is missing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from compare import plots, report
from compare.comparison_table import UNMEASURED, cells
from compare.results import NO_ARP_CONTROL, NO_TUNNEL, Finding, Journal, Results
from tests.unit.compare.made import point, results, whole


def new_journal(folder: Path, *counts: int, planned: tuple[int, ...] = (1, 5, 10, 20)) -> Journal:
    made = whole()
    journal = Journal(folder / "measured.jsonl")
    names = [f"VS-NAT, {count} servers" for count in planned]
    journal.add("begun", {"machine": made.machine, "settings": made.settings, "planned": names})
    for count in counts:
        journal.add("point", point("nat", count).as_dict())
        journal.add("done", {"what": f"VS-NAT, {count} servers"})
    return journal


def test_a_whole_journal_is_complete(tmp_path: Path) -> None:
    made = Results.of(new_journal(tmp_path, 1, 5, 10, 20))
    assert made.complete
    knee = made.knee("nat")
    assert knee is not None
    assert knee.servers == pytest.approx(10)


def test_what_was_cut_short_is_missing_and_the_rest_is_kept(tmp_path: Path) -> None:
    made = Results.of(new_journal(tmp_path, 1, 5))
    assert [measured.servers for measured in made.points] == [1, 5]
    assert [gap.what for gap in made.missing] == ["VS-NAT, 10 servers", "VS-NAT, 20 servers"]
    assert not made.complete
    assert made.knee("nat") is None
    assert cells(made)["scalability"]["nat"].says == UNMEASURED


def test_the_reason_of_a_failure_is_shown(tmp_path: Path) -> None:
    journal = new_journal(tmp_path, 1)
    journal.add("failed", {"what": "VS-NAT, 5 servers", "why": "The director ended."})
    assert Results.of(journal).missing[0].why == "The director ended."


def test_a_truncated_line_is_skipped(tmp_path: Path) -> None:
    journal = new_journal(tmp_path, 1, 5)
    whole_text = journal.file.read_text()
    journal.file.write_text(whole_text + '{"kind": "point", "servers": 10, "del')
    assert len(Results.of(journal).points) == 2


def test_a_point_with_a_failure_is_kept_but_left_out_of_the_knee() -> None:
    broken = point("nat", 10, delivered=1.0, troubles=("the httpd of rs3 has ended",))
    made = results(*(point("nat", count) for count in (1, 2, 5, 20, 50)), broken)
    knee = made.knee("nat")
    assert knee is not None
    assert knee.servers == pytest.approx(10)
    assert not made.complete
    assert "rs3 has ended" in report.shortcomings(made)[0]


def test_cells_hold_what_was_observed() -> None:
    made = whole()
    assert cells(made)["scalability"]["nat"].says == "knee at 10.0 servers"
    assert cells(made)["scalability"]["dr"].says == "no knee up to 100 servers"
    assert cells(made)["reply path"]["nat"].says == "through the director"
    assert cells(made)["reply path"]["tun"].says == "past the director"
    assert cells(made)["server OS"]["tun"].says == UNMEASURED
    tried = tuple(
        Finding("dr", question, question == NO_TUNNEL, "seen") for question in (NO_TUNNEL, NO_ARP_CONTROL)
    )
    with_trials = Results(made.machine, made.settings, made.points, tried, ())
    assert cells(with_trials)["server OS"]["dr"].says == "must not answer ARP for the VIP"


def test_points_limited_by_the_machine_are_marked() -> None:
    slow = point("dr", 100, server_links=0.4, director_cpu=0.98)
    made = results(*(point("dr", count) for count in (1, 2, 5, 10)), slow)
    assert made.too_much("dr") == [slow]
    cell = cells(made)["scalability"]["dr"]
    assert cell.says == "no knee up to 10 servers"
    assert "processor" in cell.evidence[-1]


def test_only_the_methods_asked_for_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    made = results(*(point("nat", count) for count in (1, 5, 10)))
    made.settings["methods"] = ["nat"]
    report.show(made)
    shown = capsys.readouterr().out
    assert "VS-NAT" in shown
    assert "VS-DR" not in shown


def test_files_hold_every_point(tmp_path: Path) -> None:
    made = whole()
    made.write(tmp_path)
    kept = json.loads((tmp_path / "compare.json").read_text())
    assert len(kept["points"]) == len(made.points)
    assert kept["knees"]["nat"]["servers"] == pytest.approx(10)
    assert kept["knees"]["dr"]["servers"] is None
    with (tmp_path / "compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], int(row["servers"])) for row in rows][:2] == [("nat", 1), ("nat", 2)]
    assert float(rows[0]["server_equivalents"]) == pytest.approx(1)


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = whole()
    text = report.write_page(made, tmp_path, plots.draw(made, tmp_path)).read_text()
    assert text.count("<svg") == 2
    for outside in ('src="', "<script", "<link", "@import"):
        assert outside not in text
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


def test_a_run_without_a_point_still_makes_its_files(tmp_path: Path) -> None:
    made = Results.of(new_journal(tmp_path))
    made.write(tmp_path)
    assert plots.draw(made, tmp_path) == []
    assert "What is missing" in report.write_page(made, tmp_path, []).read_text()
    report.show(made)
