"""The program beside those of others, an earlier director's program, and sweeping."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from director.core.family import IPV4, IPV6, Family
from director.core.states import Timeouts
from director.engines import interfaces
from director.engines.ebpf import program
from director.engines.ebpf.layouts import NANO, NEVER, OF, KernelClock
from director.engines.ebpf.libbpf import BpfError, tc_hook
from director.engines.ebpf.libbpf.tc_hook import FilterSlot, TcHook
from director.engines.ebpf.program import (
    OWN_MAPS,
    SETTINGS,
    SHARED_MAPS,
    TOTALS,
    Leftovers,
    Program,
    Sweeper,
)
from director.engines.engine import EngineError

THEIRS, OURS, NEXT = 11, 7, 8  # programs: their ids, and their descriptors
FIRST, SECOND = FilterSlot(1, 1), FilterSlot(1, 2)


class Filters:
    """The filters of one interface, as libbpf asks the kernel for them."""

    def __init__(self) -> None:
        self.there: dict[FilterSlot, int] = {}

    def bpf_tc_hook_create(self, _hook: Any) -> int:
        return 0

    def bpf_tc_attach(self, _hook: Any, options: Any) -> int:
        place = FilterSlot(options._obj.priority, options._obj.handle)
        if place in self.there and not options._obj.flags:
            return -errno.EEXIST
        self.there[place] = options._obj.prog_fd
        return 0

    def bpf_tc_query(self, _hook: Any, options: Any) -> int:
        options._obj.prog_id = self.there.get(FilterSlot(options._obj.priority, options._obj.handle), 0)
        return 0 if options._obj.prog_id else -errno.EINVAL

    def bpf_tc_detach(self, _hook: Any, options: Any) -> int:
        del self.there[FilterSlot(options._obj.priority, options._obj.handle)]
        return 0


@pytest.fixture
def filters(monkeypatch: pytest.MonkeyPatch) -> Filters:
    found = Filters()
    monkeypatch.setattr(tc_hook, "library", lambda: found)
    return found


def test_our_filter_is_added_beside_those_of_others(filters: Filters) -> None:
    filters.there[FIRST] = THEIRS
    ours = TcHook(1)
    ours.attach(OURS)
    assert filters.there == {FIRST: THEIRS, SECOND: OURS}
    assert dict(ours.attached()) == filters.there
    ours.detach()
    ours.detach()
    assert filters.there == {FIRST: THEIRS}


def test_only_an_earlier_directors_filter_is_replaced(filters: Filters) -> None:
    filters.there = {FIRST: THEIRS, SECOND: OURS}
    following = TcHook(1)
    following.attach(NEXT, SECOND)
    assert filters.there == {FIRST: THEIRS, SECOND: NEXT}
    filters.there[SECOND] = THEIRS  # another filter has taken our slot
    following.detach()
    assert filters.there == {FIRST: THEIRS, SECOND: THEIRS}


def test_without_a_free_slot_nothing_is_replaced(filters: Filters) -> None:
    filters.there = {
        FilterSlot(priority, handle): THEIRS for priority in range(1, 10) for handle in range(1, 20)
    }
    with pytest.raises(BpfError, match="File exists"):
        TcHook(1).attach(OURS)
    assert set(filters.there.values()) == {THEIRS}


class FakeMap:
    """A map."""

    def __init__(self, name: str, family: Family = IPV4) -> None:
        self.name = name
        self.key_size = OF[family].flow_key.size

    def close(self) -> None:
        pass


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> dict[int, tuple[str, dict[str, Any]]]:
    """Names and maps of attached programs, by id; a new object's maps have another layout."""
    names: dict[int, tuple[str, dict[str, Any]]] = {}

    def load(_path: Path, _sizes: Any, earlier: dict[str, Any]) -> Any:
        if earlier:
            raise BpfError(f"map {min(earlier)} has another layout")
        return SimpleNamespace(bind=lambda *_names: None, map=FakeMap, program=lambda _name: OURS)

    monkeypatch.setattr(program, "BpfObject", load)
    monkeypatch.setattr(program, "compiled", lambda family: Path(f"ebpf-{family}.o"))
    monkeypatch.setattr(program, "name_and_maps", names.__getitem__)
    monkeypatch.setattr(interfaces, "mac_of", lambda _name: "02:00:00:00:00:01")
    monkeypatch.setattr(socket, "if_nametoindex", lambda _name: 1)
    return names


OUR_MAPS = {name: FakeMap(name) for name in (*OWN_MAPS, *SHARED_MAPS)}


def load() -> Program:
    return Program(IPV4, ["eth0"], 10, Leftovers(["eth0"]), {})


@pytest.mark.parametrize("theirs", [("ingress", {"flows": FakeMap("flows")}), ("monitor", OUR_MAPS)])
def test_not_every_program_is_an_earlier_director(
    theirs: tuple[str, dict[str, Any]], filters: Filters, attached: dict[int, tuple[str, dict[str, Any]]]
) -> None:
    filters.there[FIRST] = THEIRS
    attached[THEIRS] = theirs
    assert not load().adopted


def test_maps_of_another_version_are_refused_with_the_command_that_removes_them(
    filters: Filters, attached: dict[int, tuple[str, dict[str, Any]]]
) -> None:
    filters.there = {FIRST: THEIRS, SECOND: OURS}
    attached.update({THEIRS: ("monitor", {}), OURS: ("ingress", OUR_MAPS)})
    with pytest.raises(EngineError) as refused:
        load()
    assert "another layout" in str(refused.value)
    assert "`tc filter del dev eth0 ingress prio 1 handle 2 bpf`" in str(refused.value)


def test_a_missing_map_is_refused_too(
    filters: Filters, attached: dict[int, tuple[str, dict[str, Any]]]
) -> None:
    filters.there = {FIRST: OURS}
    attached[OURS] = ("ingress", {name: number for name, number in OUR_MAPS.items() if name != "checkpoint"})
    with pytest.raises(EngineError, match=r"map checkpoint is missing.*`tc filter del dev eth0 ingress"):
        load()


def test_the_programs_of_both_families_are_found_and_removed_together(
    filters: Filters, attached: dict[int, tuple[str, dict[str, Any]]]
) -> None:
    second = FilterSlot(2, 1)
    filters.there = {FIRST: OURS, second: NEXT}
    ipv6 = {name: FakeMap(name, IPV6) for name in (*OWN_MAPS, SETTINGS, TOTALS)}
    attached.update({OURS: ("ingress", OUR_MAPS), NEXT: ("ingress", ipv6)})
    left = Leftovers(["eth0"])
    assert set(left.families) == {IPV4, IPV6}
    found: dict[str, Any] = left.maps(IPV6, set(OWN_MAPS))
    assert found == {name: ipv6[name] for name in OWN_MAPS}
    assert (left.slots(IPV4), left.slots(IPV6)) == ({"eth0": FIRST}, {"eth0": second})
    for slot in (FIRST, second):
        place = f"prio {slot.priority} handle {slot.handle}"
        assert f"`tc filter del dev eth0 ingress {place} bpf`" in left.removal_hint()


def test_ipv6s_program_is_attached_behind_ipv4s(filters: Filters) -> None:
    """Within a priority, the last one added would run first."""
    TcHook(1, 2).attach(NEXT)
    TcHook(1, 1).attach(OURS)
    assert filters.there == {FilterSlot(2, 1): NEXT, FIRST: OURS}


# ---- sweeping ----

TIMEOUTS = Timeouts()  # the shortest but that of NONE: ten seconds


class Swept:
    """A program whose sweeps take `takes` seconds, and leave a connection that expires at `leaves`."""

    def __init__(self, takes: float = 0.01) -> None:
        self.time, self.sweeps = 100.0, 0
        self.takes, self.leaves = takes, 0.0
        self.sweeper = Sweeper(self.sweep, KernelClock(lambda: self.time, 0.0))

    def sweep(self) -> int:
        self.sweeps += 1
        self.time += self.takes
        return int(self.leaves * NANO) if self.leaves else NEVER

    def sweeps_until(self, time: float, timeouts: Timeouts = TIMEOUTS) -> int:
        """Asked once a second: the number of sweeps."""
        before = self.sweeps
        while self.time < time:
            self.sweeper.sweep_if_due(timeouts)
            self.time += 1
        return self.sweeps - before


def test_an_empty_table_is_swept_once_in_the_shortest_timeout() -> None:
    assert Swept().sweeps_until(150) == 5


@pytest.mark.parametrize("leaves", [103.5, 108.0])
def test_a_connection_that_was_left_is_swept_when_it_expires(leaves: float) -> None:
    swept = Swept()
    swept.leaves = leaves
    assert swept.sweeps_until(leaves) == 1
    swept.leaves = 0
    assert swept.sweeps_until(leaves + 2) == 1


def test_shorter_timeouts_apply_at_once() -> None:
    swept = Swept()
    assert swept.sweeps_until(105) == 1
    assert swept.sweeps_until(107, Timeouts(udp=1)) >= 1


def test_a_slow_sweep_is_made_seldom() -> None:
    assert Swept(takes=2.0).sweeps_until(250) == 1
