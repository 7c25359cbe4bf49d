"""What a virtual router tracks: scripts up and down, faults and priorities; vrrp_script from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from availability.config import ConfigError, config_reader
from availability.config.text import Place
from availability.config.values import Script, Weight
from availability.vrrp import instances, process, tracking
from availability.vrrp.tracking import ScriptState, Tracked, VrrpScript
from tests.unit.availability.keepalived_files import FILES

ETH0, WEB = Tracked("interface", "eth0"), Tracked("script", "web")
NOTHING = Script(("/bin/true",), (), Place("", 0))


def weighed(value: int, *, reverse: bool = False) -> Tracked:
    return Tracked("script", "web", Weight(value, reverse))


def test_a_script_is_down_after_failures_in_a_row_and_up_after_successes() -> None:
    script = ScriptState(VrrpScript("web", NOTHING, fall=3, rise=2))
    results = [True, False, False, True, False, False, False, True, False, True, True]
    assert script.is_up is None
    observed = [(script.finish(result), script.is_up) for result in results]  # the first one decides at once
    assert [change for change, _ in observed] == [True] + [False] * 5 + [True] + [False] * 3 + [True]
    assert [up for _, up in observed] == [True] * 6 + [False] * 4 + [True]


def test_with_init_fail_it_is_down_until_it_has_risen() -> None:
    script = ScriptState(VrrpScript("web", NOTHING, rise=2, init_fail=True))
    assert [script.is_up, script.finish(True), script.finish(True), script.is_up] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("up", "reverse", "expected"),
    [
        (True, False, []),
        (False, False, ["script web is down"]),
        (None, False, ["script web has not run yet"]),
        (True, True, ["script web is up"]),
        (False, True, []),
        (None, True, ["script web has not run yet"]),
    ],
)
def test_without_a_weight_it_is_a_fault(up: bool | None, reverse: bool, expected: list[str]) -> None:
    state = {("interface", "eth0"): True, ("script", "web"): up}
    assert tracking.failures([ETH0, weighed(0, reverse=reverse)], state) == expected
    assert tracking.priority(100, [ETH0, weighed(0, reverse=reverse)], state) == 100


@pytest.mark.parametrize(
    ("base", "tracked", "up", "down"),
    [
        (100, weighed(20), 120, 100),
        (100, weighed(-20), 100, 80),
        (100, weighed(20, reverse=True), 80, 100),
        (100, weighed(-20, reverse=True), 100, 120),
        (250, weighed(20), 254, 250),
        (10, weighed(-20), 10, 1),
        (255, weighed(-20), 255, 255),  # the owner of the addresses
    ],
)
def test_a_weight_changes_the_priority(base: int, tracked: Tracked, up: int, down: int) -> None:
    by_state = {is_up: {("script", "web"): is_up} for is_up in (True, False, None)}
    assert [tracking.priority(base, [tracked], by_state[is_up]) for is_up in (True, False)] == [up, down]
    assert tracking.priority(base, [tracked], by_state[None]) == base
    assert not any(tracking.failures([tracked], state) for state in by_state.values())


def test_what_changes_the_priority_is_said() -> None:
    state = {("interface", "eth0"): True, ("script", "web"): False}
    assert tracking.reasons([ETH0, weighed(-5)], state) == ["script web is down"]
    assert tracking.reasons([ETH0, weighed(5)], state) == []


# ---- from a file ----


def read(folder: Path, content: str) -> list[instances.Instance]:
    file = folder / "keepalived.conf"
    file.write_text(content)
    return instances.read(config_reader.load(file))[0]


def test_the_scripts_of_a_file(tmp_path: Path) -> None:
    one, two, three = read(tmp_path, FILES["tracked"])
    named = {tracked.name: tracked for tracked in one.tracked}
    assert {name: tracked.weight for name, tracked in named.items()} == {
        "eth0": Weight(),
        "eth1": Weight(30),
        "web": Weight(-20),
        "drained": Weight(0, True),
    }
    web, drained = named["web"].script, named["drained"].script
    assert web == VrrpScript(
        "web",
        Script(("/bin/sh", "-c", "exit 0"), ("root",), Place("", 0)),
        interval=2,
        timeout=1,
        weight=Weight(-20),
        fall=3,
        rise=2,
    )
    assert drained == VrrpScript("drained", Script(("/bin/false",), (), Place("", 0)), init_fail=True)
    for member in (two, three):  # what the group tracks
        assert [(tracked.name, tracked.weight) for tracked in member.tracked] == [
            ("eth0", Weight()),
            ("eth1", Weight()),
            ("web", Weight()),
        ]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('    script "/bin/false"\n', "", ":14: vrrp_script drained needs script."),
        ('"/bin/false"', '"/bin/false \'a"', ":15: script: a quotation mark is never closed"),
        ("vrrp_script drained", "vrrp_script web", ":14: vrrp_script web exists twice."),
        ("vrrp_script drained", "vrrp_script", ":14: a vrrp_script needs a name."),
        ("interval 2", "interval 0", ":7: interval: expected a number from 1 to 4294, got '0'."),
        ("interval 2", "interval 0.5", ":7: interval: expected a number from 1 to 4294, got '0.5'."),
        ("fall 3", "fall 0", ":10: fall: expected a number from 1"),
        ("weight -20", "weight -254", ":9: weight: expected a weight from -253 to 253, got '-254'."),
        ("weight -20", "weight", ":9: weight: expected a weight from -253 to 253, got ''."),
        ("weight -20", "weight 2 up", ":9: weight: expected reverse or nothing after the weight, got 'up'."),
        ("        web\n", "        wob\n", ":26: track_script: there is no vrrp_script 'wob' in this file."),
        ("        web\n", "        web 3\n", ":26: track_script: expected NAME [weight NUMBER [reverse]]"),
        ("eth1 weight 30", "eth1 weight x", ":23: track_interface: expected a weight from -253 to 253"),
        ("        web\n", "        drained\n", ":27: track_script: drained is tracked twice."),
        ("web weight 0", "web", ":47: vrrp_sync_group: script web has a weight, but two changes state with"),
    ],
)
def test_what_is_wrong_is_a_sentence(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    assert before in FILES["tracked"]
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, FILES["tracked"].replace(before, after, 1))
    assert str(refused.value).startswith(f"{tmp_path}/keepalived.conf{sentence}")


def test_a_program_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text(FILES["tracked"].replace("/bin/false", "/no/such"))
    assert process.main([str(file)]) == 2
    output = capsys.readouterr().err.splitlines()[-1]
    assert output == f"lvs-vrrp: {file}:15: script: /no/such is not a program that can be run."
