"""What the engine asks of a machine."""

from __future__ import annotations

import os
import platform

import pytest

from director.engines.ebpf import compiler, prerequisites
from director.engines.engine import EngineError


@pytest.fixture
def release(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: request.param)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "is_initial_root", lambda: True)
    monkeypatch.setattr(prerequisites, "library", lambda: None)
    monkeypatch.setattr(compiler, "compiled", lambda _family: None)


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("release", ["6.1.0-56-amd64", "6.1+", "6.12-rc1", "10.0"], indirect=True)
def test_a_kernel_that_is_new_enough() -> None:
    prerequisites.require()


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("release", ["5.15.0-25-generic", "6.0", "4.19"], indirect=True)
def test_an_older_kernel_is_named() -> None:
    with pytest.raises(EngineError, match=r"needs Linux 6\.1 or later; this is [456]\."):
        prerequisites.require()
