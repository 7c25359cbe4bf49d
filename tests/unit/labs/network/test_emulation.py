"""Distant clients: the arguments of netem, and the message if the kernel has none."""

from __future__ import annotations

import pytest

from labs.errors import Unable
from labs.machine import capabilities
from labs.network.emulation import netem_options
from labs.run.options import LabOptions


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (LabOptions(delay=20), ["netem", "delay", "20ms"]),
        (LabOptions(loss=0.5), ["netem", "loss", "0.5%"]),
        (LabOptions(delay=1.5, loss=3), ["netem", "delay", "1.5ms", "loss", "3%"]),
    ],
)
def test_the_arguments_of_netem(options: LabOptions, arguments: list[str]) -> None:
    assert options.impaired
    assert netem_options(options) == arguments


def test_a_kernel_without_netem_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "has_netem", lambda: False)
    capabilities.require_for(LabOptions())
    with pytest.raises(Unable, match=r"module sch_netem.*\./inv vm lab-nat --delay 20"):
        capabilities.require_for(LabOptions(delay=20))


def test_an_engine_that_cannot_run_here_is_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from director.engines.ipvs import prerequisites

    monkeypatch.setattr(prerequisites, "program", lambda: None)
    with pytest.raises(Unable, match="ipvs"):
        capabilities.require_for(LabOptions(engine="ipvs"))
