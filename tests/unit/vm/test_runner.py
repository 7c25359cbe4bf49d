"""./inv vm-test: what it runs in the machine, for how long, and what it prints when that ends early."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from labs.errors import BadRequest, LabError
from oracle import ipv6_frames, ipv6_generated, json_xz, odd_packets, recordings, twos
from oracle.recordings import Recorded
from vm import runner
from vm.budget import GRACE, RESULTS, add_result, begin_results
from vm.kernel_packages import Kernel
from vm.options import VmTestOptions
from vm.virtual_machine import TookTooLong

RELEASE = "6.1"


class StandIn:
    """A machine that records what it is asked to run, and writes results and recordings."""

    def __init__(self) -> None:
        self.kernel = Kernel(Path("kernel"), RELEASE)
        self.asked: list[Sequence[str]] = []
        self.seconds = 0.0
        self.environment: Mapping[str, str] = {}
        self.fails: LabError | None = None
        self.records: list[Recorded] = []
        self.odd_packets: odd_packets.Recording = {}

    def run(
        self, asked: Sequence[str], folder: Path, seconds: float, environment: Mapping[str, str] | None = None
    ) -> int:
        self.asked.append(asked)
        self.seconds, self.environment = seconds, environment or {}
        begin_results(folder / RESULTS, ["one", "two", "three"])
        add_result(folder / RESULTS, "one", "passed")
        add_result(folder / RESULTS, "two", "failed", "E  not the same")
        recordings.write(folder / "nat-written-errors.json.xz", self.records)
        if self.odd_packets:
            odd_packets.write(self.odd_packets, folder / odd_packets.FILE.name)
        if self.fails:
            raise self.fails
        return 0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of all scenarios, by the present code on RELEASE."""
    kept = tmp_path_factory.mktemp("recorded")
    made = recordings.made_now(RELEASE)
    for method, kind in recordings.every():
        entries = [Recorded(scenario, place, [], made) for scenario, place in recordings.wanted(method, kind)]
        recordings.write(recordings.path(method, kind, kept), entries)
    odd_packets.write({**made._asdict(), "packets": []}, kept / odd_packets.FILE.name)
    frames = {"kernel": RELEASE, "player": ipv6_frames.player()}
    ipv6_frames.write(frames, kept / ipv6_frames.FILE.name)
    for method in ipv6_generated.METHODS:
        names = [{"name": scenario.name} for scenario in ipv6_generated.scenarios(method)]
        generated = {**ipv6_generated.made_now(RELEASE), "scenarios": names}
        json_xz.write(generated, ipv6_generated.path(method, kept))
    recordings.write(kept / twos.FILE.name, [Recorded(twos.scenario(), twos.PLACE, [], made)])
    return kept


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: Path) -> StandIn:
    """A machine, and a copy of these recordings."""
    monkeypatch.setenv("LVS_CACHE", str(tmp_path / "cache"))
    machine = StandIn()
    monkeypatch.setattr(runner, "_machine", lambda _series, **_: machine)
    kept = shutil.copytree(recorded, tmp_path / "recorded")
    monkeypatch.setattr(recordings, "FOLDER", kept)
    for function in (recordings.changed, recordings.merge, recordings.path):
        monkeypatch.setattr(function, "__defaults__", (kept,))
    return machine


def out_of_date(folder: Path) -> Recorded:
    """The first recording, made again on another kernel."""
    file = recordings.path("nat", "written", folder)
    first, *others = recordings.read(file)
    recordings.write(file, [Recorded(first.scenario, first.place, [], recordings.made_now("5.10")), *others])
    return first


@pytest.mark.parametrize("minutes", [1, 12, 45, 600])
def test_the_machines_time_limit_follows_the_minutes(stand_in: StandIn, minutes: int) -> None:
    assert runner.run_suite(VmTestOptions(minutes=minutes)) == 0
    assert stand_in.environment["LVS_MINUTES"] == str(minutes)
    assert 60 * minutes + GRACE < stand_in.seconds < 60 * minutes + 600


def test_a_timeout_prints_a_summary(stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in.fails = TookTooLong("ended after 60 s")
    with pytest.raises(TookTooLong):
        runner.run_suite(VmTestOptions(minutes=1))
    printed = capsys.readouterr().err
    assert "Of 3 tests 1 passed." in printed
    assert "failed: two: E  not the same" in printed
    assert "not run or not finished: three" in printed


def test_only_what_has_changed_comes_first(stand_in: StandIn) -> None:
    runner.run_suite(VmTestOptions())
    assert stand_in.environment["LVS_CHANGED"] == ""
    out_of_date(recordings.FOLDER)
    runner.run_suite(VmTestOptions())
    assert stand_in.environment["LVS_CHANGED"] == "nat-errors"


def test_on_another_kernel_everything_has_changed_and_the_core_comes_first(stand_in: StandIn) -> None:
    stand_in.kernel = Kernel(Path("kernel"), "6.12")
    runner.run_suite(VmTestOptions())
    assert "LVS_CHANGED" not in stand_in.environment


def test_more_scenarios_are_generated_only_on_request(stand_in: StandIn) -> None:
    runner.run_suite(VmTestOptions())
    runner.run_suite(VmTestOptions(more=5))
    usual, more = (" ".join(asked) for asked in stand_in.asked)
    assert "--deselect=tests/vm/test_oracle.py::test_more_of_them" in usual
    assert "--deselect" not in more
    assert stand_in.environment["LVS_MORE"] == "5"


def test_recording_without_changes_boots_nothing(
    stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.run_suite(VmTestOptions(record=True)) == 0
    assert not stand_in.asked
    assert "Nothing has changed" in capsys.readouterr().err


def test_a_recording_that_is_one_file_is_made_again(
    stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here that of the odd packets, made by a player that has changed."""
    file = recordings.FOLDER / odd_packets.FILE.name
    odd_packets.write({"player": "before", "kernel": RELEASE, "packets": []}, file)
    stand_in.odd_packets = {**recordings.made_now(RELEASE)._asdict(), "packets": ["again"]}
    assert runner.run_suite(VmTestOptions(record=True)) == 0
    assert "tests/vm/test_odd_packets.py" in stand_in.asked[0]
    assert "Recorded: 0 scenarios, odd-packets.json.xz, in " in capsys.readouterr().err
    assert odd_packets.read(file) == stand_in.odd_packets


def test_force_records_everything(stand_in: StandIn) -> None:
    runner.run_suite(VmTestOptions(record=True, force=True))
    assert stand_in.environment["LVS_CHANGED"].count(",") + 1 == len(recordings.batches())
    assert stand_in.environment["LVS_FORCE"]


@pytest.mark.parametrize("ends", [None, TookTooLong("ended after 60 s")])
def test_recordings_are_kept_even_if_the_run_ends_early(
    stand_in: StandIn, capsys: pytest.CaptureFixture[str], ends: LabError | None
) -> None:
    stand_in.records, stand_in.fails = [out_of_date(recordings.FOLDER)], ends
    if ends:
        with pytest.raises(TookTooLong):
            runner.run_suite(VmTestOptions(record=True, minutes=1))
    else:
        assert runner.run_suite(VmTestOptions(record=True)) == 0
    assert "Recorded: 1 scenarios" in capsys.readouterr().err
    assert not recordings.changed(recordings.made_now(RELEASE))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnknownMarkWarning")  # tests/vm/conftest.py knows them
def test_the_core_comes_before_the_rest() -> None:
    from tests.vm import test_oracle

    turns = {batch.id: {mark.name for mark in batch.marks} for batch in test_oracle.batches()}
    assert turns.keys() == set(map(str, recordings.batches()))
    assert turns.keys() >= test_oracle.CORE
    core = {name for name, marks in turns.items() if "rest" not in marks}
    assert (
        core == {str(batch) for batch in recordings.batches() if batch.kind == "written"} | test_oracle.CORE
    )


@pytest.mark.parametrize("wrong", [{"force": True}, {"minutes": -1}, {"more": -1}])
def test_an_invalid_request_boots_nothing(stand_in: StandIn, wrong: dict[str, int]) -> None:
    with pytest.raises(BadRequest):
        runner.run_suite(VmTestOptions(**wrong))  # type: ignore[arg-type]
    assert not stand_in.asked


def test_a_scenario_that_does_not_exist_starts_no_machine() -> None:
    with pytest.raises(BadRequest, match=r"^no scenario '/nope': expected a name and a method, as in "):
        runner.replay("/nope", here=False)
