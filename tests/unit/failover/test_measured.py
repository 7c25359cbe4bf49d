"""What was measured, as tables, files and a page; docs/failover.md shows what is kept."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from bench.measured_on import describe
from compare.results import Journal
from failover import charts, command, measured, survival
from failover.blackout import ERAS
from failover.options import FailoverOptions
from labs.errors import BadRequest

MACHINE = {"kernel": "6.1", "processors": 2, "processor": "a processor", "system": "Debian"}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Of a run that was cut short."""
    made = Journal(tmp_path / command.JOURNAL)
    settings = {"kills": 3, "engine": "scapy", "quick": False}
    made.add("begun", {"machine": MACHINE, "settings": settings, "planned": ["blackouts", "costs", "others"]})
    for number, seconds in enumerate((0.03, 0.05, 0.04), start=1):
        made.add("blackout", {"era": "vrrp3", "number": number, "seconds": seconds, "false": number % 2})
    made.add("done", {"what": "blackouts"})
    for age, fate in ((0.2, "reset"), (0.3, "lives"), (3.2, "lives"), (4.4, "lives"), (1.0, "silent")):
        made.add("survival", {"mode": "sync", "method": "dr", "load": "quiet", "age": age, "fate": fate})
    made.add("survival", {"mode": "mh", "method": "tun", "load": "crowd", "age": 4.0, "fate": "lives"})
    for fate in ("reset", "lives"):
        made.add("failback", {"mode": "resync", "method": "nat", "age": 4.0, "fate": fate})
    for sync, backup, rate in ((False, False, 1000.0), (True, True, 900.0), (True, False, 950.0)):
        counts = {"connections": 800, "records": 1600 * sync, "messages": 40 * sync}
        about = {"engine": "scapy", "round": 1, "sync": sync, "backup": backup}
        times = {"master_time": 0.008 * sync, "backup_time": 0.016 * backup}
        made.add("cost", {**about, "rate": rate, **counts, **times})
    made.add("failed", {"what": "costs", "why": "wrk has ended"})
    return made


def test_the_tables(journal: Journal) -> None:
    found = measured.summary(journal)
    blackout, by_age, crowd, failback, cost, times = measured.tables(found).values()
    assert blackout[1] == ["VRRPv3: 10 ms", "0.0361", "3", "0.03", "0.04", "0.05", "2"]
    assert by_age[1] == ["synchronisation", "VS-DR", "1 of 2", "1 of 1", "-", "0 of 2"]
    assert crowd[1:] == [["mh and sloppy_tcp, no synchronisation", "VS-TUN", "1", "0", "100 %"]]
    assert failback[1:] == [["failing back, with --resync", "VS-NAT", "2", "1", "50 %"]]
    assert cost[1] == ["scapy", "1,000", "900", "90% (90% to 90%)", "95% (95% to 95%)", "2.00", "20.0", "74"]
    assert times[1:] == [
        ["scapy", "no daemon", "0.0", "0.0"],
        ["scapy", "master alone", "10.0", "0.0"],
        ["scapy", "master and backup", "10.0", "20.0"],
    ]
    assert measured.missing(found) == [
        "Not measured: costs (wrk has ended)",
        "Not measured: others (the run was cut short before)",
    ]


def test_the_files(journal: Journal, tmp_path: Path) -> None:
    found = measured.summary(journal)
    measured.write(found, tmp_path)
    charts.draw(found, tmp_path)
    assert json.loads((tmp_path / "failover.json").read_text()) == found
    rows = list(csv.reader((tmp_path / "failover.csv").open()))
    assert rows[1] == ["blackout", "vrrp3", "dr", "", "1", "seconds", "0.030000"]
    assert ["survival", "sync", "dr", "quiet", "0.0", "reset", "1"] in rows
    assert ["failback", "resync", "nat", "crowd", "", "reset", "1"] in rows
    for name in ("blackout", "survival"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_the_page_says_how_busy_the_machine_was(journal: Journal) -> None:
    found = measured.summary(journal)
    assert "engine scapy.\n" in measured.page_tables(found)
    found["machine"]["load"] = 12.5
    assert "engine scapy,\nload average 12.5 when it began.\n" in measured.page_tables(found)


def test_a_run_is_shown_again(journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.show(journal.file.parent) == 1  # not everything was measured
    assert "VRRPv3: 10 ms" in capsys.readouterr().out
    with pytest.raises(BadRequest, match=r"it has no measured\.jsonl"):
        command.show(journal.file.parent / "none")


def test_what_is_computed_are_the_times_of_the_techniques() -> None:
    assert {era.name: round(era.expected, 4) for era in ERAS} == {
        "heartbeat": 10.0,
        "vrrp": 3.6094,
        "vrrp3": 0.0361,
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"kills": 0}, "--kills 0: expected 1 to 200."),
        (
            {"only": "blackout,else"},
            "--only 'else' is unknown: choose from blackout, survival, failback, cost.",
        ),
        ({"engine": "ipvs"}, "--engine 'ipvs': choose from scapy, ebpf."),
    ],
)
def test_what_makes_no_sense_is_refused(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRequest) as refused:
        FailoverOptions(**words)
    assert str(refused.value).startswith(sentence)


def test_the_number_of_kills() -> None:
    assert [FailoverOptions(**words).count for words in ({}, {"quick": True}, {"kills": 7})] == [20, 2, 7]
    assert set(survival.steps(FailoverOptions(quick=True))) == {mode.title for mode in survival.MODES}


def test_the_page_shows_what_is_kept() -> None:
    found = json.loads((command.KEPT / "failover.json").read_text())
    page = command.PAGE.read_text()
    assert page == measured.replaced(page, found)
    assert len(measured.tables(found)) == 6


def test_keeping_one_story_keeps_the_others(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other figures, the tables and the greater load of the two runs stay."""
    kept = tmp_path / "docs" / "failover"
    page = tmp_path / "docs" / "failover.md"
    kept.mkdir(parents=True)
    page.write_text(measured.BEGIN + measured.END)
    monkeypatch.setattr(command, "KEPT", kept)
    monkeypatch.setattr(command, "PAGE", page)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    command._keep(journal_in(tmp_path / "first", load=2.0), FailoverOptions(keep=True))
    command._keep(journal.file.parent, FailoverOptions(keep=True, only="blackout"))
    found = json.loads((kept / "failover.json").read_text())
    assert [row["seconds"] for row in found["blackout"]] == [0.03, 0.05, 0.04]
    assert [row["rate"] for row in found["cost"]] == [77.0]
    assert found["machine"]["load"] == 2.0
    assert page.read_text() == measured.replaced(page.read_text(), found)
    assert {path.name for path in kept.iterdir()} == {"failover.json", "failover.csv", "blackout.png"}


def test_what_becomes_of_connections_may_be_of_another_machine(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the page says of which."""
    page = tmp_path / "page.md"
    page.write_text(measured.BEGIN + measured.END)
    monkeypatch.setattr(command, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(command, "PAGE", page)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    command._keep(journal_in(tmp_path / "first", load=2.0), FailoverOptions(keep=True))
    command._keep(journal.file.parent, FailoverOptions(keep=True, only="failback"))
    found = json.loads((tmp_path / "kept" / "failover.json").read_text())
    assert (found["machine"]["load"], found["elsewhere"]["failback"]) == (2.0, MACHINE)
    assert [row["rate"] for row in found["cost"]] == [77.0]
    assert "Failing back: measured on Linux 6.1 on 2 x a processor." in page.read_text()
    command._require_same_machine(FailoverOptions(keep=True, only="failback"))


def test_figures_of_another_machine_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "KEPT", tmp_path)
    monkeypatch.setattr(command, "ROOT", tmp_path.parent)
    found = {"machine": {**describe(), "kernel": "2.2.9"}}
    (tmp_path / "failover.json").write_text(json.dumps(found))
    with pytest.raises(BadRequest, match=r"of another machine \(kernel 2\.2\.9, here .*: measure all"):
        command.failover(FailoverOptions(keep=True, only="cost"))


def journal_in(folder: Path, load: float) -> Path:
    """The folder of a run that measured the cost only."""
    folder.mkdir()
    made = Journal(folder / command.JOURNAL)
    settings = {"kills": 3, "engine": "scapy", "quick": False}
    made.add("begun", {"machine": {**MACHINE, "load": load}, "settings": settings, "planned": ["costs"]})
    counts = {"connections": 1, "records": 1, "messages": 1}
    made.add("cost", {"engine": "scapy", "round": 1, "sync": False, "rate": 77.0, **counts})
    return folder
