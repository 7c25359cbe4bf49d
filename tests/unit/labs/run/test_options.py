"""Options are validated before anything is built: one sentence, exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from invoke.collection import Collection

import tasks
from labs.errors import BadRequest, Unable
from labs.run.lab import run_lab
from labs.run.options import HaOptions, LabOptions, from_words, signature_of
from labs.wait import patient
from tests.unit.forked import inv

ROOT = Path(__file__).resolve().parents[4]
DEFAULTS: dict[str, Any] = {
    name: parameter.default
    for name, parameter in signature_of(LabOptions).parameters.items()
    if name != "context"
}


def test_the_defaults() -> None:
    assert from_words(LabOptions, DEFAULTS) == LabOptions()
    assert DEFAULTS["servers"] == "3"
    assert DEFAULTS["show_scripts"] is False


def test_the_short_flags() -> None:
    flags = Collection.from_module(tasks)["lab-nat"].get_arguments()
    letters = {flag.names[0]: flag.names[1] for flag in flags if len(flag.names) > 1}
    assert letters == {
        "servers": "s",
        "engine": "e",
        "scheduler": "c",
        "report": "r",
        "cli": "l",
        "show-scripts": "o",
        "large": "a",
        "family": "f",
        "dialect": "d",
        "controller": "n",
        "delay": "y",
        "verbose": "v",
        "view": "i",
        "view-only": "w",
        "view-host": "t",
        "view-port": "p",
    }


@pytest.mark.parametrize("family", [0, 5, 64, -6])
def test_an_unknown_family_is_refused(family: int) -> None:
    with pytest.raises(BadRequest, match=rf"^--family {family}: choose 4, 6 or 46"):
        LabOptions(family=family)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("servers", "0", "--servers 0: a lab has 1 to 200"),
        ("servers", "201", "--servers 201"),
        ("servers", "-1", "--servers -1"),
        ("servers", "three", "'three' is not a whole number"),
        ("servers", "", "'' is not a whole number"),
        ("servers", "--", "'--' is not a whole number"),
        ("scheduler", "best", r"--scheduler 'best' is unknown: choose from .*wrr"),
        ("engine", "magic", "--engine 'magic' is unknown: choose from"),
        ("dialect", "2099", "--dialect '2099'"),
        ("controller", "nox", "--controller 'nox'"),
        ("delay", "soon", "--delay 'soon' is not a number"),
        ("delay", "-1", "--delay -1: expected 0 to 2000 milliseconds"),
        ("delay", "nan", "--delay nan"),
        ("loss", "21", "--loss 21: expected 0 to 20 percent"),
    ],
)
def test_a_wrong_option_is_refused(option: str, value: str, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        from_words(LabOptions, {**DEFAULTS, option: value})


@pytest.mark.parametrize("name", ["/no/such/folder/report.json", "/"])
def test_a_report_that_cannot_be_written_is_refused_first(name: str) -> None:
    with pytest.raises(BadRequest, match="--report"):
        run_lab("nat", LabOptions(report=name))


@pytest.mark.parametrize("program", ["invoke", "inv"])
@pytest.mark.parametrize("arguments", [["--servers", "0"], ["--scheduler", "best"]])
def test_a_wrong_option_is_one_sentence_and_exit_code_2(program: str, arguments: list[str]) -> None:
    words = ["lab-nat", *arguments]
    if program == "inv":
        done = inv(words, os.environ)
    else:
        command = [sys.executable, "-m", "invoke", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(60))
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [["lab-nat", "--bogus"], ["lab-ant"], ["--bogus"]])
def test_an_unknown_command_or_option_is_exit_code_2(arguments: list[str]) -> None:
    done = inv(arguments, os.environ)
    assert done.returncode == 2
    assert arguments[-1] in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_missing_program_is_reported_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    from labs.machine import capabilities

    monkeypatch.setitem(capabilities.PROGRAMS, "no-such-program", "no-such-package")
    with pytest.raises(Unable, match="Not installed: no-such-package"):
        run_lab("nat", LabOptions())


def test_show_scripts_prints_them_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_lab("dr", LabOptions(show_scripts=True)) == 0
    shown = capsys.readouterr().out
    assert "ifconfig lo:0 203.0.113.1 netmask 255.255.255.255" in shown
    assert shown.count("#!/bin/sh") >= 3


# ---- lab-ha ----


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("servers", 1, "--servers 1: lab-ha has 2 to 200"),
        ("method", "local", "--method 'local' is unknown: choose from nat, tun, dr"),
        ("takeover", "luck", "--takeover 'luck' is unknown: choose from "),
        ("advert_interval", 15, "--advert-interval 15: expected 10 to 40950 milliseconds, a multiple of 10"),
        ("advert_interval", 0, "--advert-interval 0"),
        ("advert_interval", 41_000, "--advert-interval 41000"),
        ("family", 46, "--family 46: lab-ha has one VIP: choose 4 or 6"),
    ],
)
def test_an_option_of_lab_ha_that_makes_no_sense(option: str, value: Any, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        HaOptions(**{option: value})


def test_heartbeat_moves_no_ipv6_address() -> None:
    assert HaOptions(takeover="vrrp", family=6).family == 6
    with pytest.raises(BadRequest, match=r"^--takeover heartbeat --family 6: .* --takeover vrrp\.$"):
        HaOptions(takeover="heartbeat", family=6)


def test_lab_ha_has_the_options_of_the_others_and_its_own() -> None:
    flags: set[str] = set()
    for context in Collection.from_module(tasks).to_contexts():
        if context.name in ("lab-dr", "lab-ha"):
            flags ^= {flag for flag in (*context.flags, *context.inverse_flags) if flag.startswith("--")}
    assert flags == {"--method", "--takeover", "--sync", "--no-sync", "--advert-interval", "--every-failure"}
