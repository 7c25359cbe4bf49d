"""The progress of a comparison: a bar over all steps, weighted by their expected seconds.

Steps run in sandboxes, in other processes, and find their place by name. The remaining time is estimated
from the pace so far.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import RenderableType
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from labs.terminal.screen import KEEP_STREAMS, is_terminal, make_console

_NAME = 26  # columns for the name of a step


class Progress:
    """`planned`: the seconds of every step by name, in order."""

    def __init__(self, planned: Mapping[str, float]) -> None:
        self._planned = dict(planned)
        self._began = time.monotonic()
        self._console = make_console()

    @property
    def seconds(self) -> float:
        """The planned time of all steps."""
        return sum(self._planned.values())

    def say(self, text: str) -> None:
        self._console.print(text)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Do a step; the notes in the list are printed beside its name at the end."""
        notes: list[str] = []
        began = time.monotonic()
        if is_terminal():
            with self._bar(name):
                yield notes
        else:
            yield notes
        line = Table.grid(padding=(0, 2))
        for _ in range(3):
            line.add_column(no_wrap=True)
        spent = f"[dim]{time.monotonic() - began:5.1f} s[/]"
        line.add_row("  [green]done[/]", f"{name:<{_NAME - 1}}", spent, Text("  ".join(notes)))
        self._console.print(line)

    def left(self, name: str, into: float) -> tuple[float, float]:
        """The share that is done, and the remaining seconds, `into` seconds after step `name` began."""
        names = list(self._planned)
        before = sum(self._planned[earlier] for earlier in names[: names.index(name)])
        own = min(into, self._planned[name])
        done = (before + own) / self.seconds
        spent = time.monotonic() - self._began
        pace = (spent - into) / before if before else 1.0
        return done, max(0.0, (self.seconds - before - own) * pace)

    def _bar(self, name: str) -> Bar:
        progress, began = self, time.monotonic()

        class Live(Bar):
            def get_renderables(self) -> Any:
                done, left = progress.left(name, time.monotonic() - began)
                for task in self.tasks:
                    self.update(task.id, completed=done, left=f"about {left:.0f} s left")
                renderables: Iterator[RenderableType] = iter(super().get_renderables())
                return renderables

        columns = (
            TextColumn(f"  {{task.description:<{_NAME}}}"),
            BarColumn(24),
            TextColumn("{task.fields[left]}"),
        )
        bar = Live(*columns, console=self._console, transient=True, **KEEP_STREAMS)
        bar.add_task(name, total=1.0, left="")
        return bar
