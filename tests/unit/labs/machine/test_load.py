from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labs.machine.load import LIMIT, Pace, load

IDLE = "0.00 0.00 0.00 1/92 5128\n"


class Machine:
    """Clocks that the probe moves: `used` seconds of processor time in `wall` seconds."""

    def __init__(self, used: float, wall: float) -> None:
        self.used, self.wall = used, wall
        self.now = self.processor = 0.0
        self.probes = 0

    def probe(self) -> None:
        self.probes += 1
        self.now += self.wall
        self.processor += self.used


@pytest.fixture
def pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Pace]:
    monkeypatch.setattr("os.cpu_count", lambda: 2)

    def make(machine: Machine, loadavg: str = IDLE) -> Pace:
        file = tmp_path / "loadavg"
        file.write_text(loadavg)
        return Pace(machine.probe, lambda: machine.now, lambda: machine.processor, file)

    return make


@pytest.mark.parametrize(
    ("used", "wall", "loadavg", "slowness"),
    [
        pytest.param(0.005, 0.005, IDLE, 1, id="as the reference"),
        pytest.param(0.01, 0.01, IDLE, 1, id="half as fast is within the margin"),
        pytest.param(0.002, 0.002, IDLE, 1, id="a faster one has no less time"),
        pytest.param(0.1, 0.1, IDLE, 10, id="emulated"),
        pytest.param(0.005, 0.02, IDLE, 2, id="most of the processor belongs to others"),
        pytest.param(0.005, 0.005, "16.00 4.00 1.00 3/900 77\n", 4, id="busy for a minute"),
        pytest.param(0.005, 0.005, "0.20 0.10 0.00 17/900 77\n", 4, id="busy since a moment"),
        pytest.param(0.01, 0.01, "16.00 4.00 1.00 3/900 77\n", 8, id="slow and busy"),
        pytest.param(9.0, 9.0, IDLE, LIMIT, id="bounded"),
        pytest.param(0.0, 0.0, IDLE, 1, id="a clock that is too coarse"),
        pytest.param(0.005, 0.005, "", 1, id="no load figures"),
    ],
)
def test_slowness(used: float, wall: float, loadavg: str, slowness: float, pace: Callable[..., Pace]) -> None:
    assert pace(Machine(used, wall), loadavg).slowness() == pytest.approx(slowness)


def test_a_measurement_is_repeated_when_it_is_old(pace: Callable[..., Pace]) -> None:
    machine = Machine(0.005, 0.005)
    measured = pace(machine)
    for _ in range(3):
        measured.slowness()
    assert machine.probes == 1
    machine.now += 2
    machine.wall = 0.03
    assert measured.slowness() == pytest.approx(3)


def test_the_kernels_own_figures_can_be_read() -> None:
    assert load(Path("/proc/loadavg").read_text()) >= 0
