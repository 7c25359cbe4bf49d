"""What a lab prints, at the widths that people have."""

from __future__ import annotations

import pytest

from labs.run.packet_table import Row
from labs.terminal.reporter import ConsoleReporter
from labs.terminal.screen import make_console

CLIENT, VIP = "198.51.100.101:40001", "203.0.113.1:80"
NAMES = {"02:00:cb:00:71:fe": "r0-eth1", "02:00:cb:00:71:02": "d-eth0"}
REQUEST = Row(
    "request", CLIENT, VIP, "GET /index.html", source_mac="02:00:cb:00:71:fe", dest_mac="02:00:cb:00:71:02"
)


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_no_address_is_torn_apart(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_console, "__defaults__", (columns,))
    ConsoleReporter()._packets([REQUEST], NAMES)
    shown = capsys.readouterr().out
    for whole in (CLIENT, VIP, *NAMES, "(r0-eth1)", "(d-eth0)", "GET /index.html"):
        assert whole in shown, shown
    assert max(map(len, shown.splitlines())) <= columns


def test_a_long_note_goes_on_below_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_console, "__defaults__", (80,))
    ConsoleReporter().note("This kernel has no openvswitch module: switching with OVS's userspace datapath.")
    first, second = capsys.readouterr().out.rstrip().split("\n")
    assert first.startswith("  note  This")
    assert second.rstrip() == "        datapath."
