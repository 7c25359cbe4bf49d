"""Medians, and ratios of what was measured in the same round."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from bench import tables
from bench.figures import Results, Sample

KEPT = Path(__file__).resolve().parents[3] / "docs" / "bench"
MACHINE: dict[str, object] = {
    "kernel": "6.1",
    "processors": 2,
    "processor": "a processor",
    "emulated": True,
    "memory_gib": 4,
    "system": "a system",
}


@pytest.fixture
def results() -> Results:
    """ipvs gets slower round by round, and ebpf with it: the machine does."""
    found = Results(MACHINE, {"rounds": 3, "seconds": 2}, complete=True)
    for turn, speed in enumerate((300.0, 200.0, 100.0)):
        found.samples += [
            Sample(turn, "nat", "ipvs", "packets", speed),
            Sample(turn, "nat", "ebpf", "packets", 1.5 * speed),
        ]
    found.samples.append(Sample(0, "nat", "direct", "packets", 600.0))
    found.lacks("nat", "nginx", "", "it is not installed")
    found.lacks("nat", "nginx", "", "it is not installed")
    return found


def test_ratios_are_within_rounds(results: Results) -> None:
    ratio = results.ratio("nat", "ebpf", "packets", "ipvs")
    assert ratio is not None
    assert (ratio.median, ratio.least, ratio.most) == (1.5, 1.5, 1.5)


def test_only_rounds_with_both_contenders_count(results: Results) -> None:
    ratio = results.ratio("nat", "ebpf", "packets", "direct")
    assert ratio is not None
    assert ratio.most == ratio.least == 450 / 600


def test_a_contender_that_was_not_measured_has_no_ratio(results: Results) -> None:
    assert results.ratio("nat", "nginx", "packets", "ipvs") is None


def test_the_table_shows_what_is_missing_and_why(results: Results) -> None:
    head, rows = tables.of_method(results, "nat")
    assert head == ["", "64-byte packets, packets/s"]
    assert rows == [["ipvs", "200"], ["ebpf", "300 (1.50)"], ["direct", "600 (2.00)"], ["nginx", "-"]]
    assert tables.notes(results)[1:] == ["- VS-NAT, nginx: it is not installed"]


def test_a_run_that_was_cut_short_is_marked(results: Results) -> None:
    results.complete = False
    assert tables.CUT_SHORT in tables.notes(results)


def test_the_summary_is_about_our_program(results: Results) -> None:
    _, head, rows = tables.summary(results)
    assert head == ["median (least to most)", "", "VS-NAT"]
    assert rows == [["64-byte packets", "ebpf", "1.50 (1.50-1.50)"]]


def test_markdown_says_what_it_was_measured_on(results: Results) -> None:
    text = tables.page(results)
    assert text.startswith("Linux 6.1 on 2 x a processor, emulated, 4 GiB; a system. 3 rounds in turns")
    assert "| ebpf | 300 (1.50) |" in text


def test_what_is_kept(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert len(kept["samples"]) == 7
    assert kept["missing"] == [
        {"method": "nat", "contender": "nginx", "figure": "", "why": "it is not installed"}
    ]
    with (tmp_path / "results.csv").open() as file:
        rows = {row["contender"]: row for row in csv.DictReader(file)}
    assert rows["ebpf"]["to ipvs"] == "1.500"
    assert rows["ebpf"]["to direct"] == "0.750"


@pytest.mark.parametrize("columns", [80, 120])
def test_no_number_is_cut_on_a_narrow_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all figures of all contenders: the tables in docs/bench."""
    monkeypatch.setattr(tables, "WIDE", columns)
    kept = json.loads((KEPT / "linux-6-18" / "results.json").read_text())
    whole = Results.from_dict(kept)
    tables.show(tables.of_results(whole), ())
    shown = capsys.readouterr().out
    numbers = {
        word for _, _, rows in tables.of_results(whole) for row in rows for word in " ".join(row).split()
    }
    assert len(numbers) > 100
    assert numbers <= set(shown.replace("|", " ").split())
    assert max(map(len, shown.splitlines())) <= columns


def test_names_are_whole_in_piped_tables(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(tables.of_results(results), tables.notes(results))
    printed = capsys.readouterr().out
    assert "| ebpf " in printed
    assert printed.isascii()
    assert tables.number(99.44) == "99.4"
    assert tables.number(1234.5) == "1,234"
