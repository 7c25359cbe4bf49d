"""What the doctor finds on a machine, and its report."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from director import engines
from director.engines.engine import EngineError
from doctor import machine
from doctor.machine import Finding, State
from labs.errors import Unable
from labs.machine import capabilities
from labs.network import sandbox


def test_every_probe_reports_here() -> None:
    findings = [probe() for probe in machine.PROBES]
    assert len({finding.subject for finding in findings}) == len(findings)
    assert all(finding.observed for finding in findings)


def test_a_missing_package_comes_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks() -> None:
        raise Unable("Not installed: nginx: run `sudo apt-get install nginx`.")

    monkeypatch.setattr(capabilities, "require", lacks)
    sentences = "Not installed: nginx", "Run `sudo apt-get install nginx`."
    assert machine.labs() == Finding("labs", State.NO, *sentences)


def test_labs_and_doctor_say_the_same_about_missing_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks() -> None:
        raise Unable("/etc/subuid gives ada no ids for a sandbox: run `sudo usermod`.")

    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(capabilities, "_require_user_namespaces", lambda: None)
    monkeypatch.setattr(sandbox, "require_mapping", lacks)
    with pytest.raises(Unable, match="no ids"):
        capabilities.require({})
    monkeypatch.setattr(capabilities, "PROGRAMS", {})
    labs = machine.labs()
    assert (labs.state, labs.helps) == (State.NO, "Run `sudo usermod`.")
    shown = StringIO()
    assert machine.show_machine([machine.labs], Console(file=shown, width=150)) == 2
    assert shown.getvalue().endswith("The labs cannot run here. Run `sudo usermod`.\n")


def test_an_engine_that_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str) -> None:
        raise EngineError("This kernel has no IPVS (module ip_vs): `./inv vm lab-nat` boots one.")

    monkeypatch.setattr(engines, "require", refuse)
    found = machine.engine("ipvs")()
    assert (found.state, found.helps) == (State.NO, "`./inv vm lab-nat` boots one.")


@pytest.mark.parametrize(
    ("megabytes", "state", "message"),
    [(24, State.NO, "room for 2 "), (1200, State.OK, "room for 100 "), (90_000, State.OK, "room for 200 ")],
)
def test_memory_for_real_servers(
    monkeypatch: pytest.MonkeyPatch, megabytes: int, state: State, message: str
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _path: f"MemAvailable:   {megabytes * 1024} kB")
    found = machine.memory()
    assert found.state is state
    assert message in found.observed


def test_a_setting_that_forbids_user_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "forbids_user_namespaces", lambda: "user.max_user_namespaces=0")
    assert machine.without_root().state is State.LIMITED


@pytest.mark.parametrize(
    ("subject", "state", "code"),
    [
        ("labs", State.NO, 2),
        ("labs", State.LIMITED, 0),
        ("./inv bench", State.NO, 0),
        ("memory", State.OK, 0),
    ],
)
def test_the_exit_code_is_about_the_labs(subject: str, state: State, code: int) -> None:
    console = Console(file=StringIO())
    assert machine.show_machine([lambda: Finding(subject, state, "seen")], console) == code


def test_piped_output_is_plain_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    machine.show_machine([lambda: Finding("[subject]", State.NO, "what was [seen]", "what [helps]")])
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert all(text in printed for text in ("no", "[subject]", "what was [seen]", "what [helps]"))


def test_a_distribution_without_os_release_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise FileNotFoundError("/etc/os-release")

    monkeypatch.setattr("platform.freedesktop_os_release", missing)
    assert machine.system().observed.startswith("an unknown distribution on ")
