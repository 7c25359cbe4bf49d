"""Which tests run side by side (pytest-xdist), in which order, and what chance they are left.

Labs mostly wait, each in a sandbox of its own, so several run at a time. Tests that look at one running
thing, the module's fixture `seen`, stay in one worker, a group for each value of its parameter, so that it
is made once; so do the unit tests of a module. Labs start first, and the unit tests fill the gaps.

Every run is the same, unless LVS_LONG is set (`./inv test --long`): then seeds are drawn, and printed.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from labs.wait import slowness

HANG = 240  # seconds on an idle machine after which a test is taken to hang, and is named
LONG = bool(os.environ.get("LVS_LONG"))
_UNIT = Path(__file__).with_name("unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups, order and time limits; pytest-xdist reads the group from the test's id."""
    for item in items:
        group = _group(item)
        if group and not any(item.iter_markers("xdist_group")):
            item.add_marker(pytest.mark.xdist_group(group))
        if not any(item.iter_markers("timeout")):
            item.add_marker(pytest.mark.timeout(HANG * slowness()))
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> tuple[bool, bool]:
    """Labs before unit tests, groups before single tests; otherwise in the order of the files."""
    return _is_unit(item), not any(item.iter_markers("xdist_group"))


def _is_unit(item: pytest.Item) -> bool:
    return _UNIT in item.path.parents


def _group(item: pytest.Item) -> str:
    """Empty for a test that shares nothing."""
    if _is_unit(item):
        return str(item.path.relative_to(_UNIT))
    if not isinstance(item, pytest.Function) or "seen" not in item.fixturenames:
        return ""
    parameters = item.callspec.indices if hasattr(item, "callspec") else {}
    return f"{item.path.stem}-{parameters.get('seen', 0)}"


@pytest.fixture
def seed() -> int:
    """Where what is random in a test begins: always the same number, or with LVS_LONG another each time."""
    number = random.randrange(2**32) if LONG else 1999
    print(f"seed {number}")
    return number
