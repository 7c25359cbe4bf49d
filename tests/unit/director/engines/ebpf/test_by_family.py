"""Maps of both families as one."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.packet import TCP, Endpoint
from director.engines.ebpf import layouts
from director.engines.ebpf.by_family import FamilyMaps
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.libbpf.maps import Cursor
from tests.unit.director.engines.ebpf.support import FakeMap


class OneByOne(FakeMap):
    """A map that is read in batches of one entry, with a cursor as libbpf has it."""

    def __init__(self, key_size: int) -> None:
        super().__init__()
        self.name, self.key_size = "connections", key_size

    def batches(self, cursor: Any = None, size: int = 1) -> Any:  # noqa: ARG002
        while True:
            at = int.from_bytes(cursor.position or b"", "big")
            batch = list(self.entries.items())[at : at + 1]
            last = at + 1 >= len(self.entries)
            cursor.position = None if last else (at + 1).to_bytes(1, "big")
            yield batch
            if last:
                return


def key(number: int, family: int) -> bytes:
    prefix = "2001:db8::" if family == 6 else "198.51.100."
    vip = Endpoint("2001:db8::80" if family == 6 else "203.0.113.1", 80)
    return layouts.flow_key(TCP, Endpoint(f"{prefix}{number}", 1), vip)


def both() -> FamilyMaps:
    maps: Any = OneByOne(len(key(1, 4))), OneByOne(len(key(1, 6)))
    found = FamilyMaps(maps[0])
    found.add_family(maps[1])
    return found


def test_the_length_of_a_key_tells_the_map() -> None:
    maps = both()
    for family in (4, 6):
        maps.put(key(1, family), b"one")
        assert not maps.add(key(1, family), b"another")
        assert maps.get(key(1, family)) == b"one"
        assert maps.remove(key(1, family))
        assert not maps.remove(key(1, family))


def test_a_family_that_is_not_in_use_has_no_entries() -> None:
    ipv4: Any = OneByOne(len(key(1, 4)))
    maps = FamilyMaps(ipv4)
    assert maps.get(key(1, 6)) is None
    assert not maps.remove(key(1, 6))
    with pytest.raises(BpfError, match="connections"):
        maps.put(key(1, 6), b"")


@pytest.mark.parametrize("stop", range(1, 6))
def test_a_walk_continues_where_the_last_one_has_stopped(stop: int) -> None:
    """In both maps, and at the beginning again after the end of the second."""
    maps, expected = both(), [key(number, family) for family in (4, 6) for number in (1, 2, 3)]
    for entry in expected:
        maps.put(entry, b"")
    cursor = Cursor()
    keys: list[bytes] = []
    while len(keys) < 12:
        for number, batch in enumerate(maps.batches(cursor), start=1):
            keys += [found for found, _ in batch]
            if number == stop:
                break
    assert keys[:12] == expected * 2
