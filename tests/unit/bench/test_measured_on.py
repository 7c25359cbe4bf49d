from __future__ import annotations

import subprocess

import pytest

from bench import measured_on


def test_a_machine_without_os_release_whose_programs_hang_is_described(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> dict[str, str]:
        raise FileNotFoundError("/etc/os-release")

    def hanging(command: tuple[str, ...], **_options: object) -> None:
        raise subprocess.TimeoutExpired(command, 30)

    monkeypatch.setattr("platform.freedesktop_os_release", missing)
    monkeypatch.setattr(subprocess, "run", hanging)
    described = measured_on.describe()
    assert described["system"] == "an unknown distribution"
    assert described["programs"] == dict.fromkeys(measured_on._PROGRAMS, "")
