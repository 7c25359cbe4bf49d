"""The specification of the scheduler `smooth`. In the project's folder: .venv/bin/python -m pytest THIS_FILE

Tests smooth.py in this folder, or the file named by SCHEDULER_FILE.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from director import custom_scheduler
from director.core.packet import SYN, TCP, Endpoint, Packet
from director.core.real_server import Method, RealServer

FILE = Path(os.environ.get("SCHEDULER_FILE") or Path(__file__).with_name("smooth.py"))
PACKET = Packet(TCP, Endpoint("192.0.2.1", 40000), Endpoint("203.0.113.1", 80), length=40, flags=SYN)


class Service:
    """Servers a, b, c ... with these weights, and the scheduler."""

    def __init__(self, *weights: int) -> None:
        self.names = [chr(ord("a") + number) for number in range(len(weights))]
        self.servers = [
            RealServer(Endpoint(f"172.16.0.{number}", 80), weight, Method.NAT)
            for number, weight in enumerate(weights, 2)
        ]
        self.by_name = dict(zip(self.names, self.servers, strict=True))
        self.scheduler = custom_scheduler.CustomScheduler(FILE)
        self.scheduler.changed(self.servers)

    def picks(self, count: int) -> str:
        """The servers that get the next connections; `-` where none does."""
        return "".join(self._pick() for _ in range(count))

    def _pick(self) -> str:
        picked = self.scheduler.pick(self.servers, PACKET, 0.0)
        return (
            "-"
            if picked is None
            else next(name for name, server in self.by_name.items() if server is picked[0])
        )

    def set_weight(self, name: str, weight: int) -> None:
        self.by_name[name].weight = weight
        self.scheduler.changed(self.servers)

    def remove(self, name: str) -> None:
        self.servers.remove(self.by_name[name])
        self.scheduler.changed(self.servers)

    def add_back(self, name: str) -> None:
        self.servers.insert(0, self.by_name[name])
        self.scheduler.changed(self.servers)


def test_equal_weights_take_turns() -> None:
    assert Service(1, 1, 1).picks(6) == "abcabc"


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((5, 1, 1), "aabacaa"), ((3, 1), "aaba"), ((2, 3), "babab"), ((1, 2, 4), "cbcacbc")],
)
def test_a_heavy_server_is_spread_over_the_round(weights: tuple[int, ...], expected: str) -> None:
    assert Service(*weights).picks(len(expected)) == expected


def test_rounds_repeat() -> None:
    service = Service(5, 1, 1)
    assert service.picks(7) == service.picks(7) == "aabacaa"


def test_services_are_independent() -> None:
    one, other = Service(3, 1), Service(3, 1)
    assert (one.picks(2), other.picks(4), one.picks(2)) == ("aa", "aaba", "ba")


def test_without_available_servers_none_is_picked() -> None:
    assert Service(0, 0).picks(2) == "--"
    assert Service().picks(1) == "-"


def test_a_server_of_weight_0_takes_no_part() -> None:
    assert Service(2, 0, 1).picks(6) == "acaaca"


def test_an_unavailable_server_keeps_its_credit() -> None:
    service = Service(2, 1)
    assert service.picks(1) == "a"  # credits -1 and 1
    service.set_weight("b", 0)
    assert service.picks(2) == "aa"
    service.set_weight("b", 1)
    assert service.picks(2) == "ba"


def test_an_overloaded_server_gets_nothing() -> None:
    service = Service(1, 1)
    service.by_name["a"].overloaded = True
    assert service.picks(3) == "bbb"


def test_a_removed_server_is_forgotten() -> None:
    service = Service(1, 1)
    assert service.picks(1) == "a"
    service.remove("a")
    assert service.picks(2) == "bb"
    service.add_back("a")
    assert service.picks(2) == "ba"


def test_remaining_servers_keep_their_credit() -> None:
    service = Service(1, 1, 1)
    assert service.picks(1) == "a"
    service.remove("c")
    assert service.picks(3) == "bba"


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
