"""What students start with fails as expected, and the solutions pass, without a lab."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from classroom import catalogue, worksheet
from classroom.checks import capacity as capacity_checks
from classroom.checks import judged, packet_cells, predictions, student_scheduler
from classroom.model import Variant
from classroom.script_edits import script_editor
from classroom.variants import variant_for
from director.core import schedulers
from director.core.errors import SchedulerFailed
from director.custom_scheduler import CustomScheduler
from exercises import capacity, packet_table, predict, write_scheduler
from exercises.starters.test_smooth import PACKET, Service
from realserver_setup.render import Script

STUDENTS = ("ada", "bob", "carl", "dora", "emil", "s1", "s2", "s3")
STARTER = student_scheduler.STARTERS / student_scheduler.FILE


def starter(variant: Variant, name: str = worksheet.NAME) -> str:
    files = catalogue.load(variant.exercise).files
    assert files is not None
    return files(variant)[name]


def read(text: str, folder: Path) -> dict[str, Any]:
    file = folder / worksheet.NAME
    file.write_text(text)
    return worksheet.read(file).as_dict()


def failed(variant: Variant, observations: dict[str, Any]) -> set[str]:
    """The names of the checks that fail."""
    about = catalogue.load(variant.exercise)
    return {
        judge.__name__
        for judge, check in zip(about.checks, judged(about.checks, observations, variant), strict=True)
        if not check.ok
    }


# ---- packet-table ----


def table_seen(variant: Variant, text: str, folder: Path) -> dict[str, Any]:
    wire = [hop.expected.as_dict() for hop in packet_cells.hops(variant)]
    return {"answers": read(text, folder), "packets": wire}


@pytest.mark.parametrize("student", STUDENTS)
def test_a_blank_packet_table_fails_and_a_completed_one_passes(student: str, tmp_path: Path) -> None:
    variant = variant_for("packet-table", student)
    promised = set(catalogue.solutions("packet-table")[0].fails)
    assert failed(variant, table_seen(variant, starter(variant), tmp_path)) == promised
    assert failed(variant, table_seen(variant, packet_table.completed(student), tmp_path)) == set()


@pytest.mark.parametrize("student", STUDENTS)
def test_the_given_cells_of_a_packet_table_are_right(student: str) -> None:
    variant = variant_for("packet-table", student)
    for hop, section in zip(packet_cells.hops(variant), packet_cells.sections(variant), strict=True):
        right = packet_cells.cells(hop)
        shown = {name: value for name, value in section.cells.items() if value != worksheet.BLANK}
        assert shown.items() <= right.items()
        assert len(shown) < len(right)


def test_every_method_is_drawn() -> None:
    assert {variant_for("packet-table", f"s{n}").method for n in range(30)} == {"nat", "tun", "dr"}


def test_a_wrong_cell_is_named_without_the_right_answer(tmp_path: Path) -> None:
    variant = variant_for("packet-table", "ada")
    name, cell = packet_cells.hops(variant)[0].expected.packet, packet_cells.blanks(variant)[0][0]
    right = packet_cells.cells(packet_cells.hops(variant)[0])[cell]
    text = packet_table.completed("ada").replace(f"= {right}", "= 192.0.2.99:9")
    check = judged(catalogue.load("packet-table").checks, table_seen(variant, text, tmp_path), variant)[0]
    assert f"[{name}] {cell} is not 192.0.2.99:9" in check.observed
    assert right not in check.observed + check.expected


@pytest.mark.parametrize("given", ["192.0.2.1:80", "192.0.2.1.80"])
def test_addresses_in_tcpdump_notation_are_accepted(given: str) -> None:
    assert packet_cells.same(given, "192.0.2.1:80")
    assert not packet_cells.same(given, "192.0.2.1:8")


# ---- predict ----


def trials_seen(variant: Variant, text: str, folder: Path) -> dict[str, Any]:
    happened = {trial.scheduler: predict.predicted(trial, variant) for trial in predictions.trials(variant)}
    return {"answers": read(text, folder), "played": happened}


@pytest.mark.parametrize("student", STUDENTS)
def test_blank_predictions_fail_and_right_ones_pass(student: str, tmp_path: Path) -> None:
    variant = variant_for("predict", student)
    promised = set(catalogue.solutions("predict")[0].fails)
    assert failed(variant, trials_seen(variant, starter(variant), tmp_path)) == promised
    assert failed(variant, trials_seen(variant, predict.completed(student), tmp_path)) == set()


@pytest.mark.parametrize("student", STUDENTS)
def test_the_given_servers_of_hashing_schedulers_are_right(student: str) -> None:
    variant = variant_for("predict", student)
    for trial in predictions.trials(variant):
        filled_in = predictions.given_servers(trial, variant)
        assert filled_in == predict.predicted(trial, variant)[: len(filled_in)]
        assert len(filled_in) == trial.given < len(trial.steps)


def test_only_the_count_and_the_first_wrong_prediction_are_shown(tmp_path: Path) -> None:
    variant = variant_for("predict", "ada")
    text = starter(variant)
    [rr] = [trial for trial in predictions.trials(variant) if trial.scheduler == "rr"]
    text = text.replace(f"{rr.labels[0]:<{max(map(len, rr.labels))}} = ____", f"{rr.labels[0]} = RS1", 1)
    check = judged(catalogue.load("predict").checks, trials_seen(variant, text, tmp_path), variant)[0]
    assert (check.ok, check.observed) == (False, "1 right; number 2 is blank")


def test_failed_connections_fail(tmp_path: Path) -> None:
    variant = variant_for("predict", "ada")
    observations = trials_seen(variant, starter(variant), tmp_path)
    observations["played"] = {scheduler: [] for scheduler in observations["played"]}
    assert failed(variant, observations) == {*catalogue.solutions("predict")[0].fails, "trials_served"}


# ---- capacity ----


def sized_seen(variant: Variant, text: str, folder: Path, unit: float = 60_000.0) -> dict[str, Any]:
    rates = {str(count): unit * times for count, times in capacity_checks.growth(variant).items()}
    return {"answers": read(text, folder), "delivered": {"rates": rates, "error": ""}}


@pytest.mark.parametrize("student", STUDENTS)
def test_blank_sizes_fail_and_right_ones_pass(student: str, tmp_path: Path) -> None:
    variant = variant_for("capacity", student)
    promised = set(catalogue.solutions("capacity")[0].fails)
    assert failed(variant, sized_seen(variant, starter(variant), tmp_path)) == promised
    assert failed(variant, sized_seen(variant, capacity.completed(student), tmp_path)) == set()


def test_the_published_figures_give_the_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 us and 536 bytes: 16,667 packets or 8.93 MB a second, and 22 real servers of 400 kB/s."""
    published = replace(capacity_checks.figures(variant_for("capacity", "ada")), microseconds=60, bytes=536)
    monkeypatch.setattr(capacity_checks, "figures", lambda _: replace(published, kilobytes=400))
    sizes = capacity_checks.right(variant_for("capacity", "ada"))[capacity_checks.PROCESSOR]
    assert [round(size, 2) for size in sizes.values()] == [16666.67, 8.93, 22]


def test_only_vs_nat_is_limited_by_the_directors_link() -> None:
    variants = [variant_for("capacity", f"s{number}") for number in range(60)]
    for variant in variants:
        limit = float(capacity_checks.figures(variant).lab_times)
        most = capacity_checks.growth(variant)[capacity_checks.SERVERS]
        assert most == (limit if variant.method == "nat" else capacity_checks.SERVERS)
    assert {variant.method for variant in variants} == {"nat", "dr"}


@pytest.mark.parametrize(
    ("label", "given", "says"),
    [
        ("packets per second", "16", "not 16; it rewrites one packet after the other"),
        ("MB per second", "many", "not many; packets times bytes"),
        ("directors, VS-NAT", "99", "not 99; which link is full first"),
        ("4 real servers deliver", "9", "not 9; which link is full first"),
    ],
)
def test_a_wrong_size_is_named_without_the_right_one(
    label: str, given: str, says: str, tmp_path: Path
) -> None:
    variant = variant_for("capacity", "ada")
    text = re.sub(rf"^({re.escape(label)} *)= (.*)$", rf"\1= {given}", capacity.completed("ada"), flags=re.M)
    found = judged(catalogue.load("capacity").checks, sized_seen(variant, text, tmp_path), variant)
    [wrong] = [check for check in found if not check.ok]
    assert says in wrong.observed


@pytest.mark.parametrize("given", ["20000", "20,000", "20 000", "20'000.0", "20000 packets"])
def test_a_number_may_be_written_in_several_ways(given: str) -> None:
    assert capacity_checks._number(given) == 20000


def test_another_limit_than_the_links_fails(tmp_path: Path) -> None:
    variant, text = variant_for("capacity", "ada"), capacity.completed("ada")
    assert failed(variant, sized_seen(variant, text, tmp_path, unit=40_000)) == {"links_measured"}
    observations = sized_seen(variant, text, tmp_path)
    observations["delivered"]["rates"]["4"] = 0.0
    assert failed(variant, observations) == {"links_measured", "growth_predicted"}
    refused = {**observations, "delivered": {"rates": {}, "error": "a service exists"}}
    assert failed(variant, refused) == {"links_measured", "growth_predicted"}


# ---- answers files that were spoilt ----


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a]\nno equals sign\n", "line 2: expected LABEL = ANSWER, got 'no equals sign'"),
        ("x = 1\n", "line 1: no [heading] above 'x'"),
        ("[a]\nx = 1\n\n[a]\nx = 2\n", "line 5: a second 'x' in [a]"),
        ("[a]\n= 1\n", "line 2: expected LABEL"),
        ("\xff\x00", "line 1: expected LABEL"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, says: str) -> None:
    wrong = read(text, tmp_path)["wrong"]
    assert len(wrong) == 1
    assert says in wrong[0]


def test_blanks_comments_and_spaces(tmp_path: Path) -> None:
    filled = read("# head\n[a  b]  # note\n 1 c1   stays = rs1  # sure\n2 = ____\n3 =\n", tmp_path)
    assert filled["wrong"] == []
    assert [worksheet.answer(filled, "a b", label) for label in ("1 c1 stays", "2", "3", "4")] == [
        "rs1",
        "",
        "",
        None,
    ]


def test_a_missing_worksheet_is_reported(tmp_path: Path) -> None:
    assert worksheet.read(tmp_path / "none.txt").wrong == [
        "none.txt cannot be read: No such file or directory"
    ]


# ---- write-scheduler ----


def pytest_of(file: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SCHEDULER_FILE": str(file), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    return subprocess.run(
        [*command, "--import-mode=importlib", str(student_scheduler.STARTERS / student_scheduler.TEST_FILE)],
        env={**environment, "PYTHONPATH": str(catalogue.FOLDER.parent)},
        capture_output=True,
        text=True,
    )


def test_the_starter_loads_and_fails_its_tests() -> None:
    assert CustomScheduler(STARTER).pick([], PACKET, 0.0) is None
    done = pytest_of(STARTER)
    assert done.returncode == 1
    assert "12 failed, 1 passed" in done.stdout


def test_the_solution_passes_its_tests(tmp_path: Path) -> None:
    (tmp_path / student_scheduler.FILE).write_text(write_scheduler.SOURCE)
    done = pytest_of(tmp_path / student_scheduler.FILE)
    assert done.returncode == 0, done.stdout


def test_an_error_does_not_mention_the_deleted_service(tmp_path: Path) -> None:
    """The director's message is about a service, which the check has deleted."""
    file = tmp_path / "smooth.py"
    file.write_text("import time\nclass Scheduler:\n    def changed(self, servers): pass\n")
    file.write_text(
        file.read_text() + "    def pick(self, servers, packet, now): __import__('os')._exit(3)\n"
    )
    scheduler = CustomScheduler(file)
    with pytest.raises(SchedulerFailed, match="new connections are refused until") as failed:
        scheduler.pick([], PACKET, 0.0)
    event = {"kind": "rejected", "vip": "203.0.113.1:80", "why": str(failed.value)}
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + "\n")
    running: Any = SimpleNamespace(evidence=SimpleNamespace(events=tmp_path / "events.jsonl"))
    row = student_scheduler._refusal(running, "203.0.113.1:80")
    assert row == f"scheduler smooth: {file}: its process has ended (exit code 3)."


@pytest.mark.parametrize("student", STUDENTS)
def test_only_the_solution_produces_the_expected_order(
    student: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / student_scheduler.FILE).write_text(write_scheduler.SOURCE)
    monkeypatch.setattr("exercises.starters.test_smooth.FILE", tmp_path / student_scheduler.FILE)
    first, then = student_scheduler.rounds(variant_for("write-scheduler", student))
    service = Service(*first.weights)
    assert named(service.picks(len(first.names))) == first.names
    service.set_weight("a", 0)
    assert named(service.picks(len(then.names))) == then.names
    service.set_weight("a", first.weights[0])
    for name in schedulers.names():
        service.scheduler = schedulers.make(name)  # type: ignore[assignment]
        service.scheduler.changed(service.servers)
        assert named(service.picks(len(first.names))) != first.names


@pytest.mark.parametrize("student", STUDENTS)
def test_a_server_of_weight_0_has_credit_and_is_picked_if_not_left_out(
    student: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / student_scheduler.FILE).write_text(write_scheduler.SOURCE.replace(" if server.available", ""))
    monkeypatch.setattr("exercises.starters.test_smooth.FILE", tmp_path / student_scheduler.FILE)
    first, then = student_scheduler.rounds(variant_for("write-scheduler", student))
    service = Service(*first.weights)
    assert named(service.picks(len(first.names))) == first.names
    service.set_weight("a", 0)
    with pytest.raises(SchedulerFailed, match="expected an available server"):
        service.picks(len(then.names))


def named(letters: str) -> tuple[str, ...]:
    return tuple(f"rs{'abc'.index(letter) + 1}" for letter in letters)


def test_the_director_starts_with_the_students_file() -> None:
    variant = variant_for("write-scheduler", "ada")
    edit = script_editor(variant, Path("/runs/of ada/work"))
    script = edit(Script("d/start.sh", "#!/bin/sh\n# exec\nexec lvs-director --method nat\n"))
    assert script is not None
    assert script.text.splitlines()[-1] == (
        "exec lvs-director --method nat --scheduler-file '/runs/of ada/work/smooth.py'"
    )
