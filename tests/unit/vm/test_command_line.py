"""./inv vm TASK OPTIONS...: what follows `vm` is a command line of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.errors import BadRequest
from labs.terminal.command_line import for_vm
from vm import runner
from vm.runner import run_task


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        (["inv", "lab-nat", "--servers", "4"], ["inv", "lab-nat", "--servers", "4"]),
        (["inv", "vm", "lab-nat", "--servers", "4"], ["inv", "vm", "--command", "lab-nat --servers 4"]),
        (["inv", "vm", "--shell"], ["inv", "vm", "--shell"]),
        (["inv", "vm"], ["inv", "vm"]),
        (["inv", "vm", "--command", "lab-dr"], ["inv", "vm", "--command", "lab-dr"]),
        (["inv", "vm", "test", "--only", "a or b"], ["inv", "vm", "--command", "test --only 'a or b'"]),
        (["inv", "vm", "-k", "6.12", "lab-dr"], ["inv", "vm", "-k", "6.12", "--command", "lab-dr"]),
        (["inv", "vm", "--kernel=6.12", "lab-dr"], ["inv", "vm", "--kernel=6.12", "--command", "lab-dr"]),
        (["inv", "vm", "--kernel", "6.12", "--shell"], ["inv", "vm", "--kernel", "6.12", "--shell"]),
        (["inv", "vm", "lab-nat", "--help"], ["inv", "lab-nat", "--help"]),
        (["inv", "vm", "--help"], ["inv", "vm", "--help"]),
        (["inv", "vm-test", "--only", "x"], ["inv", "vm-test", "--only", "x"]),
        (["inv", "lab-nat", "--report", "vm"], ["inv", "lab-nat", "--report", "vm"]),
        (["inv", "--search-root", "/", "vm", "x"], ["inv", "--search-root", "/", "vm", "--command", "x"]),
    ],
)
def test_what_is_typed(typed: list[str], understood: list[str]) -> None:
    assert for_vm(typed) == understood


@pytest.mark.parametrize("words", [[], ["vm", "lab-nat"], ["vm-test"]])
def test_an_invalid_request_starts_nothing(words: list[str]) -> None:
    with pytest.raises(BadRequest):
        run_task(words, shell=False)


def test_runs_and_results_are_copied_from_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside those that are there already."""
    monkeypatch.setenv("LVS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LVS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LVS_KEPT", str(tmp_path / "kept"))
    for kind in ("runs/1-bench", "kept/debian"):
        (tmp_path / kind).mkdir(parents=True)
        (tmp_path / kind / "before").write_text("")
    with runner._results() as folder:
        for kind in ("runs/2-bench", "kept/debian"):
            (folder / kind).mkdir(parents=True)
            (folder / kind / "results.json").write_text("{}")
    assert (tmp_path / "runs" / "2-bench" / "results.json").exists()
    assert {file.name for file in (tmp_path / "kept" / "debian").iterdir()} == {"before", "results.json"}
    assert not folder.exists()
