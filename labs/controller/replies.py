"""Collects the replies of several switches to one request.

The request to each switch has its own number (OpenFlow's xid), and the reply may come in parts; one thread
waits while another delivers the parts. The content does not matter here.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Ask = Callable[[int, int], None]  # sends the request with a dpid and an xid


@dataclass(slots=True)
class _Request:
    dpid: int
    parts: list[Any] = field(default_factory=list)
    done: bool = False
    gone: bool = False


class Replies:
    """Outstanding requests, by xid."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, _Request] = {}
        self._changed = threading.Condition()

    def collect(
        self, dpids: Iterable[int], ask: Ask, seconds: float
    ) -> tuple[dict[int, list[Any]], list[int]]:
        """Send to every switch; returns the parts by dpid, and the dpids without a reply within `seconds`.

        A switch that disconnects meanwhile is in neither.
        """
        requests = {next(self._numbers): _Request(dpid) for dpid in dpids}
        with self._changed:
            self._open.update(requests)
        try:
            for number, request in requests.items():
                ask(request.dpid, number)
            self._wait(list(requests.values()), seconds)
        finally:
            with self._changed:
                for number in requests:
                    del self._open[number]
        complete = [request for request in requests.values() if request.done and not request.gone]
        answers = {request.dpid: request.parts for request in complete}
        return answers, [request.dpid for request in requests.values() if not request.done]

    def _wait(self, requests: list[_Request], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not all(request.done for request in requests):
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def part(self, dpid: int, number: int, part: Iterable[Any], *, last: bool) -> None:
        """Deliver a part of a reply; unexpected parts are dropped."""
        with self._changed:
            request = self._open.get(number)
            if request is not None and request.dpid == dpid:
                request.parts.extend(part)
                request.done = last
                self._changed.notify_all()

    def disconnected(self, dpid: int) -> None:
        """Stop waiting for this switch."""
        with self._changed:
            for request in self._open.values():
                if request.dpid == dpid and not request.done:
                    request.done = request.gone = True
            self._changed.notify_all()
