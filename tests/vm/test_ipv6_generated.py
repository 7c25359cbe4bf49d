"""Kernel IPVS answers generated connections of IPv6 as recorded; with LVS_RECORD, they are recorded again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs.wait import patient
from oracle import ipv6_generated, json_xz
from tests.labs.support import FROM_CHECKOUT

RECORD = os.environ.get("LVS_RECORD")
pytestmark = [pytest.mark.changed if RECORD else pytest.mark.rest]
NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.mark.parametrize("method", ipv6_generated.METHODS)
def test_generated_connections_are_answered_as_recorded(method: str) -> None:
    if RECORD and ipv6_generated.holds(method) and not os.environ.get("LVS_FORCE"):
        pytest.skip("nothing has changed since they were recorded")
    command = (*NAMESPACES, sys.executable, "-m", "oracle.ipv6_generated", method)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=patient(300), env=FROM_CHECKOUT)
    assert done.returncode == 0
    now = ipv6_generated.recording(done.stdout)
    if RECORD:
        json_xz.write(now, Path(RECORD, ipv6_generated.path(method).name))
        return
    recorded = {scenario["name"]: scenario for scenario in ipv6_generated.read(method)["scenarios"]}
    different = [
        f"{scenario['name']}: {found}"
        for scenario in now["scenarios"]
        if scenario["name"] in recorded and (found := _unlike(recorded[scenario["name"]], scenario))
    ]
    assert not different, "\n".join(different)


def _unlike(recorded: dict[str, Any], now: dict[str, Any]) -> str:
    """The first difference: in the tables, or in how many packets come out and how long they are.

    What a host refuses has a flow label that is another one after each boot.
    """
    for number, (then, out) in enumerate(zip(recorded["out"], now["out"], strict=True)):
        if _sizes(then) != _sizes(out):
            return f"packet {number}: recorded {_sizes(then)}, now {_sizes(out)}"
    return ipv6_generated.unlike(recorded, now, ())


def _sizes(out: list[list[str]]) -> list[tuple[str, int]]:
    return [(side, len(frame) // 2) for side, frame in out]
