"""Priorities of global_defs: how lvs-vrrp and lvs-monitor are scheduled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_CODE = """
import os, sys
from pathlib import Path
from availability.command_line import take_priority
from availability.config import config_reader
settings = config_reader.load(Path(sys.argv[1])).settings
complaints = [take_priority(settings, which) for which in ("vrrp", "checker")]
print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR)
print(" ".join(filter(None, complaints)))
"""


def scheduled(folder: Path, lines: str) -> list[str]:
    """The nice value and whether it is a real-time process; then what it complains about."""
    file = folder / "keepalived.conf"
    file.write_text(f"global_defs {{\n{lines}\n}}\n")
    command = [sys.executable, "-c", _CODE, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.splitlines()


def test_the_nice_value(tmp_path: Path) -> None:
    before = int(scheduled(tmp_path, "")[0].split()[0])
    wanted = min(19, before + 5)
    assert scheduled(tmp_path, f"checker_priority {wanted}") == [f"{wanted} False", ""]


def test_real_time_or_a_sentence(tmp_path: Path) -> None:
    state, complaint = scheduled(tmp_path, "vrrp_rt_priority 10")
    if state.endswith("False"):
        assert complaint.startswith("It runs with ordinary priority (")
        assert complaint.endswith("): run it as root for vrrp_priority.")
    else:
        assert complaint == ""
