"""A program in the kernel: how it is loaded, attached, run, and found again by the next director.

Nothing is pinned to a file. The program lives while it is attached to an interface, and keeps its
maps alive; the next director finds them through the interface. All of it ends with the network
namespace. Other programs on the same interfaces stay in place.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from director.core.family import IPV4, IPV6, Family
from director.core.states import State, Timeouts
from director.engines import interfaces as of_this_machine
from director.engines.ebpf import layouts
from director.engines.ebpf.compiler import CannotCompile, compiled
from director.engines.ebpf.layouts import NANO, UNCHANGED, KernelClock
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.libbpf.maps import Map
from director.engines.ebpf.libbpf.programs import BpfObject, name_and_maps, run
from director.engines.ebpf.libbpf.tc_hook import FilterSlot, TcHook
from director.engines.engine import EngineError

SETTINGS, TOTALS = ".data.settings", ".data.totals"
OWN_MAPS = ("connections", "services", "templates", "vips", "routes", "neighbours", "ftp_sessions")
SHARED_MAPS = (  # by the programs of both families
    "members",
    "servers",
    "server_stats",
    "core_stats",
    "events",
    "sync_records",
    "received",
    "checkpoint",
    SETTINGS,
    TOTALS,
)
_NOT_READ = (
    "core_stats",
    "checkpoint",
    "ftp_sessions",
    "received",
)  # not read by ingress, which keeps them alive
_INGRESS = "ingress"
_PARTS = ("sweep", "compare_and_swap", "remove_connection", "enter_records")
_SIGNATURE = frozenset({"connections", "services", SETTINGS, TOTALS})  # maps of every version of this program


class Leftovers:
    """Programs that an earlier director has left on these interfaces, and their maps, by family."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        """Raises EngineError if an interface does not exist."""
        self._maps: dict[Family, dict[str, Map]] = {}
        self._slots: dict[Family, dict[str, FilterSlot]] = {IPV4: {}, IPV6: {}}
        for interface in interfaces:
            of_this_machine.require(interface)
        try:
            for interface in interfaces:
                for slot, program_id in TcHook(socket.if_nametoindex(interface)).attached():
                    self._look_at(interface, slot, *name_and_maps(program_id))
        except BpfError as error:
            raise EngineError(
                f"The ebpf engine can't look for the program of an earlier director ({error})."
            ) from None

    def _look_at(self, interface: str, slot: FilterSlot, name: str, maps: dict[str, Map]) -> None:
        if name == _INGRESS and maps.keys() >= _SIGNATURE:
            is_ipv6 = maps["connections"].key_size == layouts.OF[IPV6].flow_key.size
            family = IPV6 if is_ipv6 else IPV4
            self._slots[family][interface] = slot
            if family not in self._maps:
                self._maps[family], maps = maps, {}
        for unused in maps.values():  # of another program, or already open
            unused.close()

    @property
    def families(self) -> Collection[Family]:
        return self._maps.keys()

    def maps(self, family: Family, names: Collection[str]) -> dict[str, Map]:
        """The maps with these names; empty if no program was left. Raises BpfError if some are missing."""
        found = self._maps.get(family, {})
        missing = names - found.keys() if found else ()
        if missing:
            raise BpfError(f"map {min(missing)} is missing")
        return {name: program for name, program in found.items() if name in names}

    def slots(self, family: Family) -> Mapping[str, FilterSlot]:
        """The filter slots of a family, by interface."""
        return self._slots[family]

    def removal_hint(self) -> str:
        """A sentence with the commands that remove an earlier director's program, if it cannot be used."""
        commands = (
            f"`tc filter del dev {interface} ingress prio {slot.priority} handle {slot.handle} bpf`"
            for slots in self._slots.values()
            for interface, slot in slots.items()
        )
        return (
            "It was left by a director of another version; to start without its "
            f"connections, run {' and '.join(commands)}."
        )


class Program:
    """One family's program; `adopted` tells whether it uses the maps of an earlier director."""

    def __init__(
        self,
        family: Family,
        interfaces: Sequence[str],
        entries: int,
        leftovers: Leftovers,
        shared: Mapping[str, Map],
        priority: int = 1,
    ) -> None:
        """Load it, with room for this number of connection entries.

        `shared` are the maps of the other family's program, if it is loaded. `priority` is the first that is
        tried among the filters of an interface. Raises EngineError.
        """
        self._hooks = {name: TcHook(socket.if_nametoindex(name), priority) for name in interfaces}
        self._priority = priority
        self._leftover = leftovers.slots(family)
        own = OWN_MAPS if shared else (*OWN_MAPS, *SHARED_MAPS)
        try:
            earlier = leftovers.maps(family, set(own))
            sizes = {} if earlier else {"connections": entries}
            self._object = BpfObject(compiled(family.version), sizes, {**earlier, **shared})
            for name in set(_NOT_READ) & set(own):
                self._object.bind(_INGRESS, name)
        except (BpfError, CannotCompile) as error:
            message = f"The ebpf engine can't be loaded ({error})."
            hint = f" {leftovers.removal_hint()}" if leftovers.families else ""
            raise EngineError(f"{message}{hint}") from None
        self.adopted = bool(earlier)
        self.maps: dict[str, Map] = {name: self._object.map(name) for name in own}
        self._ingress = self._object.program(_INGRESS)
        self._parts = {name: self._object.program(name) for name in _PARTS}
        self._attached = False

    @property
    def shared(self) -> Mapping[str, Map]:
        """The maps for the other family's program."""
        return {name: self.maps[name] for name in SHARED_MAPS}

    def attach(self) -> None:
        """Let it see every frame that arrives, unless it does already. Raises EngineError."""
        if self._attached:
            return
        self._attached = True
        try:
            for interface, hook in self._hooks.items():
                hook.attach(self._ingress, self._leftover.get(interface))
        except BpfError as error:
            self.detach()
            raise EngineError(f"The ebpf engine can't be attached ({error}).") from None

    def follow(self) -> None:
        """Attach it to interfaces that have replaced those of the same names. Raises EngineError."""
        for name, hook in self._hooks.items() if self._attached else ():
            index = of_this_machine.index_of(name)
            if index and index != hook.ifindex:
                anew = TcHook(index, self._priority)
                try:
                    anew.attach(self._ingress)
                except BpfError as error:
                    raise EngineError(f"The ebpf engine can't be attached to {name} ({error}).") from None
                self._hooks[name] = anew

    def run(self, part: str, context: bytes = b"") -> tuple[int, bytes]:
        """Run `sweep` or another part; returns its return value, and the context that it has changed.

        Raises BpfError.
        """
        return run(self._parts[part], context)

    def detach(self) -> None:
        if self._attached:
            for hook in self._hooks.values():
                hook.detach()
            self._attached = False

    def close(self) -> None:
        self.detach()
        while self.maps:
            self.maps.popitem()[1].close()
        self._object.close()


class EntryUpdates(Protocol):
    """Changes to entries that the program may be changing at the same time."""

    def compare_and_swap(
        self, key: bytes, before: int, after: int, expires: int | None = None, packets: int = 0
    ) -> bool:
        """Replace the flags `before`; False if the entry has others by now, and nothing was changed.

        `expires` is written with them unless None; the count of packets is raised to `packets`.
        """
        ...

    def remove(self, key: bytes) -> int | None:
        """Remove a connection by its request's key; returns its last flags, or None if it is gone already."""
        ...


class ProgramUpdates:
    """The program makes them, because a process could only write whole values, over the program's changes.

    `run` runs a part of the program whose entry it is.
    """

    _GONE, _DONE = 0, 1  # return values; 2: other flags

    def __init__(self, run: Callable[[str, bytes], tuple[int, bytes]]) -> None:
        self._run = run

    def compare_and_swap(
        self, key: bytes, before: int, after: int, expires: int | None = None, packets: int = 0
    ) -> bool:
        until = UNCHANGED if expires is None else expires
        result, _ = self._run("compare_and_swap", layouts.update(key, before, after, until, packets))
        return result == self._DONE

    def remove(self, key: bytes) -> int | None:
        result, update = self._run("remove_connection", layouts.update(key, 0, 0, 0, 0))
        return None if result == self._GONE else layouts.last_flags(update)


class Sweeper:
    """Decides when the program sweeps expired connections out of its table.

    An expired connection serves no packet, swept or not; but until then it counts for its server
    and takes room. A sweep looks at the whole table, so it comes when a connection may have expired,
    and takes no more than about one hundredth of the time.
    """

    _PAUSE = 100  # times the duration of the last sweep

    def __init__(self, sweep: Callable[[], int], clock: KernelClock) -> None:
        """`sweep` returns when the first remaining connection will expire, if it stays idle."""
        self._sweep = sweep
        self._clock = clock
        self._next_expiry = self._started = self._not_before = 0  # nanoseconds

    def sweep(self) -> None:
        self._started = self._now()
        self._next_expiry = self._sweep()
        now = self._now()
        self._not_before = now + self._PAUSE * (now - self._started)

    def sweep_if_due(self, timeouts: Timeouts) -> None:
        """Sweep if a connection may have expired: one that has changed has at least the shortest timeout."""
        shortest = min(seconds for state, seconds in timeouts.by_state().items() if state is not State.NONE)
        next_expiry = min(self._next_expiry, self._started + int(shortest * NANO))
        if self._now() >= max(self._not_before, next_expiry):
            self.sweep()

    def _now(self) -> int:
        return self._clock.nanoseconds(self._clock.now())
