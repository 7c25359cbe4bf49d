"""The program in the kernel: loaded, attached to interfaces, and found again after a director has died.

Nothing is pinned to a file. As long as the program is attached to an interface it lives, and its
tables with it; the interface tells the next director where they are. When the network namespace
ends, all of it does. Other people's programs on those interfaces stay where they are.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from director.engines import interfaces as of_this_machine
from director.engines.ebpf.compiler import CannotCompile, compiled
from director.engines.ebpf.libbpf.hook import FilterSlot, TcHook
from director.engines.ebpf.libbpf.library import BpfError
from director.engines.ebpf.libbpf.maps import Map
from director.engines.ebpf.libbpf.objects import BpfObject
from director.engines.ebpf.libbpf.programs import name_and_maps, run
from director.engines.engine import EngineError

_USERSPACE_ONLY = (
    "core_stats",
    "checkpoint",
    "ftp_sessions",
)  # maps that the program holds, but does not read
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
    *_USERSPACE_ONLY,
)
SETTINGS, TOTALS = ".data.settings", ".data.totals"
_NAME = "ingress"
_PARTS = ("sweep", "compare_and_swap", "remove_connection")
_OF_OURS = frozenset({"connections", "services", SETTINGS, TOTALS})  # maps, whatever the version


class Program:
    """`adopted` tells whether its tables are those that an earlier director has left."""

    def __init__(self, interfaces: Sequence[str], connections: int) -> None:
        """Load it, with room for so many entries. Raises EngineError."""
        for interface in interfaces:
            if of_this_machine.mac_of(interface) is None:
                raise EngineError(f"There is no network interface {interface!r}: see `ip link`.")
        self._hooks = {interface: TcHook(socket.if_nametoindex(interface)) for interface in interfaces}
        self._left: dict[str, FilterSlot] = {}  # where an earlier director's program is
        earlier: dict[str, Map] = {}
        try:
            earlier = self._left_behind()
            missing = {*MAPS, SETTINGS, TOTALS} - earlier.keys()
            if earlier and missing:
                raise BpfError(f"map {min(missing)} is missing")
            sizes = {} if earlier else {"connections": connections}
            self._loaded = BpfObject(compiled(), sizes, earlier)
            for name in _USERSPACE_ONLY:
                self._loaded.bind(_NAME, name)
        except (BpfError, CannotCompile) as error:
            told = f"The engine ebpf can't be loaded ({error})."
            raise EngineError(f"{told} {self.removal_hint()}" if earlier else told) from None
        self.adopted = bool(earlier)
        self.maps: dict[str, Map] = {name: self._loaded.map(name) for name in (*MAPS, SETTINGS, TOTALS)}
        self._ingress = self._loaded.program(_NAME)
        self._parts = {name: self._loaded.program(name) for name in _PARTS}
        self._attached = False

    def _left_behind(self) -> dict[str, Map]:
        """The tables of a program of ours that is attached already."""
        earlier: dict[str, Map] = {}
        for interface, hook in self._hooks.items():
            for place, number in hook.attached():
                name, found = name_and_maps(number)
                if name == _NAME and found.keys() >= _OF_OURS:
                    self._left[interface] = place
                    earlier, found = earlier or found, found if earlier else {}
                for one in found.values():  # somebody else's, or the same again
                    one.close()
        return {name: one for name, one in earlier.items() if name in (*MAPS, SETTINGS, TOTALS)}

    def removal_hint(self) -> str:
        """What to type where nothing can be done with what an earlier director has left."""
        commands = (
            f"`tc filter del dev {interface} ingress prio {place.priority} handle {place.handle} bpf`"
            for interface, place in self._left.items()
        )
        return (
            "What is there was left by a director of another version; to begin anew, without its "
            f"connections, run {' and '.join(commands)}."
        )

    def attach(self) -> None:
        """From now on it sees what comes in. Raises EngineError."""
        self._attached = True
        try:
            for interface, hook in self._hooks.items():
                hook.attach(self._ingress, self._left.get(interface))
        except BpfError as error:
            self.detach()
            raise EngineError(f"The engine ebpf can't be attached ({error}).") from None

    def sweep(self) -> None:
        """End the connections whose time has come."""
        run(self._parts["sweep"])

    def run(self, part: str, context: bytes) -> tuple[int, bytes]:
        """One of its parts, on so many bytes: what it returns, and they. Raises BpfError."""
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
        self._loaded.close()
