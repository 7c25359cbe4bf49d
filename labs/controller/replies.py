"""Waits for the answers of several switches to one question.

A question goes to each switch under a number of its own (OpenFlow's xid) and may be answered
in parts; one thread waits while another hands in the parts. Knows nothing of what is asked.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Ask = Callable[[int, int], None]  # dpid and number of the question: send it


@dataclass(slots=True)
class _Question:
    dpid: int
    parts: list[Any] = field(default_factory=list)
    done: bool = False
    gone: bool = False


class Replies:
    """Questions under way, by their number."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, _Question] = {}
        self._news = threading.Condition()

    def collect(
        self, dpids: Iterable[int], ask: Ask, seconds: float
    ) -> tuple[dict[int, list[Any]], list[int]]:
        """Ask every switch; returns the parts by dpid, and who has not answered within `seconds`.

        A switch that disconnects meanwhile is in neither.
        """
        asked = {next(self._numbers): _Question(dpid) for dpid in dpids}
        with self._news:
            self._open.update(asked)
        try:
            for number, question in asked.items():
                ask(question.dpid, number)
            self._wait(list(asked.values()), seconds)
        finally:
            with self._news:
                for number in asked:
                    del self._open[number]
        answers = {q.dpid: q.parts for q in asked.values() if q.done and not q.gone}
        return answers, [q.dpid for q in asked.values() if not q.done]

    def _wait(self, questions: list[_Question], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._news:
            while not all(question.done for question in questions):
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._news.wait(left)

    def part(self, dpid: int, number: int, part: Iterable[Any], *, last: bool) -> None:
        """A part of an answer has come; parts that nobody waits for are let go."""
        with self._news:
            question = self._open.get(number)
            if question is not None and question.dpid == dpid:
                question.parts.extend(part)
                question.done = last
                self._news.notify_all()

    def disconnected(self, dpid: int) -> None:
        """Nobody need wait for this switch any longer."""
        with self._news:
            for question in self._open.values():
                if question.dpid == dpid and not question.done:
                    question.done = question.gone = True
            self._news.notify_all()
