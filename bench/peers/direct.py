"""Nothing at all: the client is connected to the server by a cable."""

from __future__ import annotations

from bench.site import Site

ABOUT = "the direct path, without a director"
METHODS = ()
OFFLOAD = True


def cannot() -> str:
    return ""


def set_up(site: Site) -> None:
    """The cable is there already."""
