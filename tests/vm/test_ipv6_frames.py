"""Kernel IPVS does with IPv6 what is recorded; with LVS_RECORD, it is recorded again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs.wait import patient
from oracle import ipv6_frames
from oracle.ipv6_packets import comparable
from tests.labs.support import FROM_CHECKOUT

RECORD = os.environ.get("LVS_RECORD")
pytestmark = [pytest.mark.changed] if RECORD else []
NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def test_ipv6_is_answered_as_recorded() -> None:
    before = ipv6_frames.read()
    if RECORD and ipv6_frames.holds(before, os.uname().release) and not os.environ.get("LVS_FORCE"):
        pytest.skip("nothing has changed since they were recorded")
    command = (*NAMESPACES, sys.executable, "-m", "oracle.ipv6_frames")
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(120), env=FROM_CHECKOUT)
    assert done.returncode == 0, done.stderr
    now = json.loads(done.stdout)
    if RECORD:
        ipv6_frames.write(now, Path(RECORD, ipv6_frames.FILE.name))
        return
    for kept, new in zip(before["frames"], now["frames"], strict=True):
        assert _answer(new) == _answer(kept), kept["name"]
    for part in ("saved", "listed", "connections"):
        assert now[part] == before[part]


def _answer(exchange: dict[str, list[list[str]]]) -> list[tuple[str, str]]:
    return [(side, comparable(bytes.fromhex(frame)).hex()) for side, frame in exchange["out"]]
