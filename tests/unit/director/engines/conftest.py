"""A running engine between fakes, for every forwarding method."""

from __future__ import annotations

import pytest

from director.core.real_server import Method
from tests.unit.director.engines.support import Running, fake


@pytest.fixture(params=[Method.NAT, Method.TUN, Method.DR])
def running(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Running:
    fake(monkeypatch)
    return Running(request.param)


@pytest.fixture
def nat(monkeypatch: pytest.MonkeyPatch) -> Running:
    """VS-NAT, the real server's port for http is 8000."""
    fake(monkeypatch)
    return Running(Method.NAT, 8000)
