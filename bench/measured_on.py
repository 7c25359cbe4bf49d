"""The machine on which figures were measured: kernel, processors, distribution, versions of programs."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from labs.machine.capabilities import distribution

_PROGRAMS = {
    "iperf3": ("iperf3", "--version"),
    "wrk": ("wrk", "--version"),
    "clang": ("clang", "--version"),
    "haproxy": ("haproxy", "-v"),
    "nginx": ("nginx", "-v"),
    "nft": ("nft", "--version"),
}


def describe() -> dict[str, object]:
    """This machine as a dictionary for JSON."""
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "emulated": _is_emulated(),
        "system": distribution(),
        "python": platform.python_version(),
        "programs": {name: _version(command) for name, command in _PROGRAMS.items()},
    }


def sentence(machine: dict[str, object], settings: dict[str, object]) -> str:
    """A sentence about a machine from `describe`, and the run's rounds and seconds per measurement."""
    emulated = ", emulated" if machine["emulated"] else ""
    return (
        f"Linux {machine['kernel']} on {machine['processors']} x {machine['processor']}{emulated}, "
        f"{machine['memory_gib']} GiB; {machine['system']}. {settings['rounds']} rounds in turns, "
        f"{settings['seconds']:g} s for each measurement."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _is_emulated() -> bool:
    """Whether qemu interprets every instruction (TCG), which makes everything 20 to 30 times slower."""
    return "QEMU TCG" in _processor() or "TCGTCGTCG" in Path("/proc/cpuinfo").read_text()


def _version(command: tuple[str, ...]) -> str:
    """The first line of a program's version output, or "" if the program is missing or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "").strip()
