"""Nothing at all: the client is connected to the server by a cable."""

from __future__ import annotations

from bench.testbed import Testbed

ABOUT = "the direct path, without a director"
METHODS = ()
OFFLOAD = True


def cannot() -> str:
    return ""


def set_up(testbed: Testbed) -> None:
    """The cable is there already."""
