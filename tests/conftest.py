"""Which tests run side by side (pytest-xdist), in which order, and with which random seeds.

Labs mostly wait, each in a sandbox of its own, so several run at a time. Tests that share a worker, one after
the other, are known by their ids: the unit tests of a module, the lab tests of a module with the same
parameters, and all of those in _WHOLE; they share a lab that a module's fixture has started. The longest
labs start first.

Every run is the same unless LVS_LONG is set (`./inv test --long`): then seeds are random, and printed.
"""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from labs.wait import slowness

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

HANG = 240  # seconds on an idle machine after which a test is considered to hang
_COLLECT = (20_000, 20, 20)  # as for gc.set_threshold
LONG = bool(os.environ.get("LVS_LONG"))
_UNIT = "tests/unit/"
# Their tests share something whatever their parameters; each worker would make it anew.
_WHOLE = (
    *(
        f"tests/labs/test_{name}.py"
        for name in ("ebpf_program", "ha", "monitor", "operating", "realserver", "terminal", "view_page")
    ),
    *("tests/vm/test_labs.py", "tests/vm/test_sync.py"),
)
# Groups over 20 s, in seconds on two processors: if one started last, the run would wait for it.
_LONGEST = {
    "test_view_page": 120,
    "test_compare.py::test_a_quick": 90,
    "test_terminal": 60,
    "test_what_is_typed_at_the_prompt_works[labs/vs_ha": 60,
    "test_an_exercise[e25": 50,
    "test_an_exercise[e28": 45,
    "test_an_exercise[e24": 45,
    "test_classroom.py::test_check_answers": 45,
    "test_ebpf_by_chance": 40,
    "test_ha": 40,
    "test_sync": 30,
    "test_ebpf.py": 30,
    "test_on_the_wire": 30,
    "test_monitor": 25,
    "test_a_broken_lab": 25,
    "test_a_class_that": 25,
    "test_director_features": 22,
    "test_what_is_typed": 22,
    "test_vrrp": 22,
    "test_flood": 20,
}


def group(test: str) -> str:
    """The group of tests that share a worker with this one; its own id if it shares none."""
    module, _, name = test.partition("::")
    if module.startswith((_UNIT, *_WHOLE)):
        return module
    _, bracket, parameters = name.partition("[")
    return f"{module}[{parameters}" if bracket else test


def rank(test: str) -> tuple[bool, int]:
    """For sorting: labs before unit tests, and the longest first."""
    return test.startswith(_UNIT), -max((_LONGEST[name] for name in _LONGEST if name in test), default=0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Before pytest-timeout reads it: how busy the machine is when the test starts counts."""
    if not any(item.iter_markers("timeout")):
        item.add_marker(pytest.mark.timeout(HANG * slowness()))
    return (yield)


def pytest_collection_finish() -> None:
    """What was collected stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several workers; a single worker needs no order
        items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)  # only pytest-xdist calls it
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Groups(config, log)


@pytest.fixture
def seed() -> int:
    """The seed of a random test: always the same number, or with LVS_LONG a new one."""
    number = random.randrange(2**32) if LONG else 1999
    print(f"seed {number}")
    return number
