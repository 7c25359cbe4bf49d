"""The program in the kernel: loaded, attached to interfaces, found again by the next director; its parts run.

Nothing is pinned to a file. The program lives while it is attached to an interface, and keeps its
maps alive; the interface leads the next director to them. All of it ends with the network
namespace. Programs of others on the same interfaces stay where they are.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from director.core.states import State, Timeouts
from director.engines import interfaces as of_this_machine
from director.engines.ebpf.compiler import CannotCompile, compiled
from director.engines.ebpf.layouts import NANO, UNCHANGED, UPDATE, KernelClock, Totals
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.libbpf.maps import Map
from director.engines.ebpf.libbpf.programs import BpfObject, name_and_maps, run
from director.engines.ebpf.libbpf.tc_hook import FilterSlot, TcHook
from director.engines.engine import EngineError

_NOT_READ = ("core_stats", "checkpoint", "ftp_sessions")  # by the program, which only keeps them alive
MAPS = (
    "connections",
    "services",
    "members",
    "templates",
    "servers",
    "server_stats",
    "vips",
    "routes",
    "neighbours",
    "events",
    "sync_records",
    *_NOT_READ,
)
SETTINGS, TOTALS = ".data.settings", ".data.totals"
_INGRESS = "ingress"
_PARTS = ("sweep", "compare_and_swap", "remove_connection")
_SIGNATURE = frozenset({"connections", "services", SETTINGS, TOTALS})  # maps of every version of ours


class Program:
    """`adopted` tells whether its maps are those that an earlier director has left."""

    def __init__(self, interfaces: Sequence[str], entries: int) -> None:
        """Load it, with room for this number of connection entries. Raises EngineError."""
        for interface in interfaces:
            of_this_machine.require(interface)
        self._hooks = {interface: TcHook(socket.if_nametoindex(interface)) for interface in interfaces}
        self._leftover: dict[str, FilterSlot] = {}  # by interface: an earlier director's program
        earlier: dict[str, Map] = {}
        try:
            earlier = self._find_leftover()
            missing = {*MAPS, SETTINGS, TOTALS} - earlier.keys()
            if earlier and missing:
                raise BpfError(f"map {min(missing)} is missing")
            sizes = {} if earlier else {"connections": entries}
            self._object = BpfObject(compiled(), sizes, earlier)
            for name in _NOT_READ:
                self._object.bind(_INGRESS, name)
        except (BpfError, CannotCompile) as error:
            message = f"The ebpf engine can't be loaded ({error})."
            raise EngineError(f"{message} {self.removal_hint()}" if earlier else message) from None
        self.adopted = bool(earlier)
        self.maps: dict[str, Map] = {name: self._object.map(name) for name in (*MAPS, SETTINGS, TOTALS)}
        self._ingress = self._object.program(_INGRESS)
        self._parts = {name: self._object.program(name) for name in _PARTS}
        self._attached = False

    def _find_leftover(self) -> dict[str, Map]:
        """The maps of a program of ours that is attached already."""
        earlier: dict[str, Map] = {}
        for interface, hook in self._hooks.items():
            for slot, program_id in hook.attached():
                name, maps = name_and_maps(program_id)
                if name == _INGRESS and maps.keys() >= _SIGNATURE:
                    self._leftover[interface] = slot
                    earlier, maps = earlier or maps, maps if earlier else {}
                for unused in maps.values():  # another program's, or the same ones again
                    unused.close()
        return {name: found for name, found in earlier.items() if name in (*MAPS, SETTINGS, TOTALS)}

    def removal_hint(self) -> str:
        """The commands that remove what an earlier director has left, where it cannot be used."""
        commands = (
            f"`tc filter del dev {interface} ingress prio {slot.priority} handle {slot.handle} bpf`"
            for interface, slot in self._leftover.items()
        )
        return (
            "It was left by a director of another version; to start without its "
            f"connections, run {' and '.join(commands)}."
        )

    def attach(self) -> None:
        """From now on it sees every frame that arrives. Raises EngineError."""
        self._attached = True
        try:
            for interface, hook in self._hooks.items():
                hook.attach(self._ingress, self._leftover.get(interface))
        except BpfError as error:
            self.detach()
            raise EngineError(f"The ebpf engine can't be attached ({error}).") from None

    def run(self, part: str, context: bytes = b"") -> tuple[int, bytes]:
        """Run `sweep` or another part: its return value, and the context as it has left it.

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
        """Remove a connection by its request's key: its last flags; None if it is gone already."""
        ...


class ProgramUpdates:
    """The program makes them: a process can only write whole values, over changes made since it read them.

    `run` is Program's.
    """

    _GONE, _DONE = 0, 1  # return values; 2: the flags were others

    def __init__(self, run: Callable[[str, bytes], tuple[int, bytes]]) -> None:
        self._run = run

    def compare_and_swap(
        self, key: bytes, before: int, after: int, expires: int | None = None, packets: int = 0
    ) -> bool:
        update = UPDATE.pack(key, before, after, UNCHANGED if expires is None else expires, packets)
        result, _ = self._run("compare_and_swap", update)
        return result == self._DONE

    def remove(self, key: bytes) -> int | None:
        result, update = self._run("remove_connection", UPDATE.pack(key, 0, 0, 0, 0))
        return None if result == self._GONE else int(UPDATE.unpack(update)[2])


class Sweeper:
    """Decides when the program sweeps expired connections out of its table.

    An expired connection serves no packet, swept or not; but until then it counts for its server
    and takes room. A sweep looks at the whole table, so it comes when a connection may have expired,
    and takes no more than about one hundredth of the time.
    """

    _PAUSE = 100  # times the duration of the last sweep

    def __init__(self, run: Callable[[str], object], totals: Totals, clock: KernelClock) -> None:
        self._run = run
        self._totals = totals
        self._clock = clock
        self._started = self._not_before = 0  # nanoseconds

    def sweep(self) -> None:
        self._started = self._now()
        self._run("sweep")
        now = self._now()
        self._not_before = now + self._PAUSE * (now - self._started)

    def sweep_if_due(self, timeouts: Timeouts) -> None:
        """What has arrived or changed its state since the last sweep has at least the shortest timeout."""
        shortest = min(seconds for state, seconds in timeouts.by_state().items() if state is not State.NONE)
        next_expiry = min(self._totals.next_expiry, self._started + int(shortest * NANO))
        if self._now() >= max(self._not_before, next_expiry):
            self.sweep()

    def _now(self) -> int:
        return self._clock.nanoseconds(self._clock.now())
