"""The record of ARP packets: who claimed which address, on which port, and when.

Only a network that writes this down can tell who answered for the VIP. It holds the newest
claims up to a limit and is safe to use from several threads. The time is passed in.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from labs.controller.frames import Arp

LARGEST = 100_000  # claims kept; older ones make room


@dataclass(frozen=True, slots=True)
class Entry:
    """An ARP packet as it entered port `port` of switch `dpid` at time `at`."""

    serial: int
    at: float
    dpid: int
    port: int
    frame_source: str
    arp: Arp


class ArpLog:
    """Claims in order of arrival; serials count from 1 and are never used twice."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._entries: deque[Entry] = deque(maxlen=largest)
        self._serial = 0
        self._lock = threading.Lock()

    def add(self, at: float, dpid: int, port: int, frame_source: str, arp: Arp) -> None:
        with self._lock:
            self._serial += 1
            self._entries.append(Entry(self._serial, at, dpid, port, frame_source, arp))

    def since(self, serial: int = 0) -> tuple[Entry, ...]:
        """All entries kept that came after the one with `serial`."""
        with self._lock:
            return tuple(entry for entry in self._entries if entry.serial > serial)

    def forget(self) -> int:
        """Forget all entries; returns the newest serial, from which later ones count on."""
        with self._lock:
            self._entries.clear()
            return self._serial
