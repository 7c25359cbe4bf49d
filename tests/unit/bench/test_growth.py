"""How cost grows: rules from point to point, and tables whose columns are the points."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

import pytest

from bench import growth_run, plots
from bench.growth import DIMENSIONS, Dimension
from bench.growth_results import GrowthResults
from director.ipvsadm import save_format
from tests.unit.bench.test_figures import MACHINE


@pytest.fixture
def grown() -> GrowthResults:
    found = GrowthResults(MACHINE, {"rounds": 1, "seconds": 1}, complete=True)
    for point, value in ((10, 1000.0), (100, 900.0), (1000, 500.0)):
        found.add("connections", "ebpf", point, 0, {"known": value})
    found.add("connections", "direct", 10, 0, {"known": 2000.0})
    found.lacks("ipvs", "this kernel has none")
    found.lacks("ipvs", "this kernel has none")
    return found


def test_columns_are_points_and_ratios_are_to_the_first(grown: GrowthResults) -> None:
    ((title, head, rows),) = grown.tables()
    assert title.endswith("by the number of connections in the table")
    assert head == ["", "10", "100", "1,000"]
    assert rows == [
        ["ebpf", "1,000 (1.00)", "900 (0.90)", "500 (0.50)"],
        ["direct", "2,000 (1.00)", "-", "-"],
    ]


def test_a_missing_contender_is_noted_once(grown: GrowthResults) -> None:
    assert grown.notes()[1:] == ["- ipvs: this kernel has none"]


def test_what_is_kept(grown: GrowthResults, tmp_path: Path) -> None:
    grown.write(tmp_path)
    plots.draw_growth(grown, tmp_path)
    assert len(json.loads((tmp_path / "growth.json").read_text())["points"]) == 4
    with (tmp_path / "growth.csv").open() as file:
        assert [row["point"] for row in csv.DictReader(file)] == ["10", "100", "1000", "10"]
    names = {file.name for file in tmp_path.iterdir()}
    assert {"growth.md", "growth-connections-known.png", "growth-connections-known.svg"} <= names


@pytest.mark.parametrize("dimension", DIMENSIONS.values(), ids=list(DIMENSIONS))
def test_each_point_adds_rules_to_the_one_before(dimension: Dimension) -> None:
    lines = [
        line for before, point in pairwise((0, *dimension.points)) for line in dimension.rules(point, before)
    ]
    assert len(lines) == len(set(lines))
    commands = save_format.read("\n".join(lines))
    servers = [command for command in commands if command["command"] == "AddServer"]
    services = [command for command in commands if command["command"] == "AddService"]
    most = dimension.points[-1]
    assert len(servers) == (1 if dimension.name == "connections" else most)
    assert len(services) == (most if dimension.name == "services" else 1)


def test_a_quick_run_leaves_out_the_large_points() -> None:
    plan = growth_run.Plan(most=1000)
    assert plan.points(DIMENSIONS["connections"]) == (10, 100, 1000)
    assert growth_run.steps(plan) == (3 + 4 + 3) * plan.rounds * len(plan.contenders)
