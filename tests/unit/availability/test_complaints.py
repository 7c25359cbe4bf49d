"""Complaints about what others send: each once, and not so many that they fill the log."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from availability.command_line import Complaints
from availability.vrrp import advertisements, process
from availability.vrrp.advertisements import Malformed


def test_each_is_said_once_and_the_last_one_says_so() -> None:
    said: list[str] = []
    complain = Complaints(said.append)
    for number in range(100):
        complain("The same.")
        complain(f"Number {number}.")
    assert said == [
        "The same.",
        *(f"Number {number}." for number in range(18)),
        "Number 18. This is the last complaint of its kind.",
    ]


def test_advertisements_that_differ_every_time_do_not_fill_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anyone on the network may send one with another list of addresses, a thousand times a second."""
    numbers = iter(range(1000))

    def read(_packet: bytes, _settings: object) -> None:
        raise Malformed(f"the addresses 192.0.2.{next(numbers)} instead of 203.0.113.1")

    monkeypatch.setattr(advertisements, "read", read)
    router = SimpleNamespace(
        name="VIP",
        complain_of_others=Complaints(process.say),
        instance=SimpleNamespace(settings=None),
        sockets=SimpleNamespace(receive=lambda: b"an advertisement"),
    )
    for _ in range(1000):
        process.Vrrp._receive(cast(Any, SimpleNamespace()), cast(Any, router))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == Complaints.LIMIT
    assert lines[0] == (
        "lvs-vrrp: VIP ignores advertisements of this virtual router with "
        "the addresses 192.0.2.0 instead of 203.0.113.1."
    )


def test_a_missing_ip_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> int:
        subprocess.run([str(tmp_path / "ip"), "link"], check=True)
        return 0

    monkeypatch.setattr(process, "run", run)
    assert process.main([str(tmp_path / "keepalived.conf")]) == 2
    assert "iproute2" in capsys.readouterr().err
