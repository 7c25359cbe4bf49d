from __future__ import annotations

from labs.controller.arp_log import ArpLog
from labs.controller.frames import Arp

CLAIM = Arp("reply", "02:00:cb:00:71:02", "203.0.113.1", "198.51.100.101")


def filled(count: int, largest: int = 100) -> ArpLog:
    log = ArpLog(largest)
    for at in range(count):
        log.add(float(at), 1, 7, CLAIM.sender_mac, CLAIM)
    return log


def serials(log: ArpLog, since: int = 0) -> list[int]:
    return [entry.serial for entry in log.since(since)]


def test_entries_are_numbered_from_one() -> None:
    assert serials(filled(3)) == [1, 2, 3]


def test_an_entry_keeps_where_and_when() -> None:
    (entry,) = filled(1).since()
    assert (entry.at, entry.dpid, entry.port, entry.frame_source, entry.arp) == (
        0,
        1,
        7,
        CLAIM.sender_mac,
        CLAIM,
    )


def test_only_what_came_after() -> None:
    assert serials(filled(5), since=3) == [4, 5]
    assert serials(filled(5), since=5) == []


def test_the_oldest_make_room() -> None:
    assert serials(filled(5, largest=2)) == [4, 5]


def test_numbers_go_on_after_forgetting() -> None:
    log = filled(3)
    assert log.forget() == 3
    assert serials(log) == []
    log.add(9, 1, 7, CLAIM.sender_mac, CLAIM)
    assert serials(log, since=3) == [4]
