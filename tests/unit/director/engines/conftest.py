"""A running engine on a fake host, for every forwarding method."""

from __future__ import annotations

import pytest

from director.core.real_server import Method
from tests.unit.director.engines.support import Running


@pytest.fixture(params=[Method.NAT, Method.TUN, Method.DR])
def running(request: pytest.FixtureRequest) -> Running:
    return Running(request.param)


@pytest.fixture
def nat() -> Running:
    """VS-NAT; the real server's port for http is 8000."""
    return Running(Method.NAT, 8000)
