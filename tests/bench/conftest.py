"""Figures of benchmarks that are not times, printed at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_NOTED: list[tuple[str, str]] = []


@pytest.fixture
def note() -> Callable[[str, str], None]:
    """Print a figure with its name when all is done."""
    return lambda name, figure: _NOTED.append((name, figure))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _NOTED:
        terminalreporter.section("memory, and what a flood does")
        width = max(len(name) for name, _ in _NOTED)
        for name, figure in _NOTED:
            terminalreporter.write_line(f"{name:<{width}}  {figure}")
