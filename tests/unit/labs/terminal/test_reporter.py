"""The output of a lab, at common widths of terminals."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from labs.checks.result import Check
from labs.plan import plan_for
from labs.run.options import LabOptions
from labs.run.packet_table import Row
from labs.run.report import Report, ServerReport
from labs.terminal import reporter
from labs.terminal.reporter import ConsoleReporter
from labs.terminal.screen import make_console

CLIENT, VIP = "198.51.100.101:40001", "203.0.113.1:80"
NAMES = {"02:00:cb:00:71:fe": "r0-eth1", "02:00:cb:00:71:02": "d-eth0"}
REQUEST = Row(
    "request", CLIENT, VIP, "GET /index.html", source_mac="02:00:cb:00:71:fe", dest_mac="02:00:cb:00:71:02"
)


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_no_address_is_split_across_lines(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_console, "__defaults__", (columns,))
    ConsoleReporter()._packets([REQUEST], NAMES)
    shown = capsys.readouterr().out
    for whole in (CLIENT, VIP, *NAMES, "(r0-eth1)", "(d-eth0)", "GET /index.html"):
        assert whole in shown, shown
    assert max(map(len, shown.splitlines())) <= columns


def test_two_mac_addresses_with_their_names_are_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The longest pairs of lab-dr and lab-ha with three real servers."""
    monkeypatch.setattr(make_console, "__defaults__", (80,))
    forwarded = replace(
        REQUEST, packet="forwarded", source_mac="02:00:cb:00:71:02", dest_mac="02:00:cb:00:71:0d"
    )
    names = {"02:00:cb:00:71:02": "d1-eth0", "02:00:cb:00:71:0d": "rs3-eth0"}
    ConsoleReporter()._packets([forwarded], names)
    assert "02:00:cb:00:71:02 (d1-eth0) > 02:00:cb:00:71:0d (rs3-eth0)" in capsys.readouterr().out


def test_a_long_note_is_indented(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(make_console, "__defaults__", (80,))
    ConsoleReporter().note("This kernel has no openvswitch module: switching with OVS's userspace datapath.")
    first, second = capsys.readouterr().out.rstrip().split("\n")
    assert first.startswith("  note  This")
    assert second.rstrip() == "        datapath."


Show = Callable[..., str]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Show:
    """The output at the end of a lab with these checks, on a terminal or in a file."""

    def shown(
        *results: tuple[str, Check], columns: int = 80, terminal: bool = True, verbose: bool = False
    ) -> str:
        file = io.StringIO()
        console = Console(
            file=file, width=columns, force_terminal=terminal, color_system=None, highlight=False
        )
        monkeypatch.setattr(reporter, "make_console", lambda **_: console)
        servers = tuple(ServerReport(f"rs{n}", f"203.0.113.{n}", 1, n) for n in range(101, 120))
        plan = plan_for("dr", LabOptions())
        report = Report(
            plan, "scapy", "wrr", servers, results, (REQUEST,), {"total": 1.0}, (), Path("/runs/1-lab-dr")
        )
        ConsoleReporter(verbose=verbose).result(report, NAMES)
        return file.getvalue()

    return shown


PASSED = ("ftp", Check("ftp list, PASV", True, "name upload", "name upload"))
FAILED = (
    "ftp",
    Check("ftp put", False, "1,000,000 bytes, sha256 dee8fa7b", f"from {CLIENT} to {VIP}, nothing"),
)
OTHER = ("ARP", Check("only the director answers", True, "d-eth0", "d-eth0"))


def test_checks_that_passed_are_one_line_a_subject(show: Show) -> None:
    shown = show(PASSED, OTHER, PASSED)
    assert "ok  ftp  2 checks" in shown
    assert "ok  ARP  1 check" in shown
    assert "name upload" not in shown
    assert "Failed" not in shown


def test_a_check_that_failed_is_shown_in_full(show: Show) -> None:
    shown = show(PASSED, FAILED, OTHER)
    assert "FAIL  ftp  1 of 2 checks failed" in shown
    assert "ok    ARP  1 check" in shown
    assert "ftp put" in shown
    assert "name upload" not in shown
    for word in ("1,000,000", "dee8fa7b", CLIENT, f"{VIP},"):
        assert word in shown, shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("how", [{"verbose": True}, {"terminal": False}])
def test_all_checks_are_shown_if_verbose_or_piped(show: Show, how: dict[str, bool]) -> None:
    shown = show(PASSED, FAILED, OTHER, **how)
    assert "name upload" in shown
    assert "only the director" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_packet_table_comes_last(show: Show) -> None:
    shown = show(PASSED, OTHER)
    assert shown.index("Real servers") < shown.index("Checks") < shown.index("One connection")
    assert [line for line in shown[shown.index(CLIENT) :].splitlines() if line][-2:] == [
        "PASSED  2 of 2 checks, 1.0 s in all",
        "Evidence: /runs/1-lab-dr (for Wireshark: ./inv wireshark)",
    ]


def test_on_a_narrow_terminal_the_folder_has_a_line_of_its_own(show: Show) -> None:
    assert show(PASSED, columns=50).splitlines()[-2:] == [
        "Evidence: /runs/1-lab-dr",
        "(for Wireshark: ./inv wireshark)",
    ]
