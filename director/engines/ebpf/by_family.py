"""The programs and maps of all families in use, each as one.

IPv4's program is always loaded; IPv6's when the first rule needs it, or an earlier director has left it. They
share the maps by server number, settings and events. The keys of all other maps contain addresses, so their
lengths tell the families apart.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from director.core.family import IPV4, IPV6, Family
from director.engines.ebpf.layouts import NEVER, OF
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.libbpf.maps import BATCH_SIZE, Cursor, Map
from director.engines.ebpf.program import OWN_MAPS, Leftovers, Program

_OF_CONTEXT = {structs.update.size: family for family, structs in OF.items()}
_FIRST_PRIORITY = {IPV4: 1, IPV6: 2}  # IPv4's program runs first, so that IPv6's costs it nothing


class FamilyMaps:
    """Has the methods of Map. A family that is not in use has no entries, and none can be added."""

    def __init__(self, first: Map) -> None:
        self._maps: list[Map] = []
        self._by_length: dict[int, Map] = {}
        self.add_family(first)

    def add_family(self, family_map: Map) -> None:
        self._maps.append(family_map)
        self._by_length[family_map.key_size] = family_map

    @property
    def size(self) -> int:
        """Entries of each."""
        return self._maps[0].size

    def get(self, key: bytes) -> bytes | None:
        family_map = self._by_length.get(len(key))
        return None if family_map is None else family_map.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Raises BpfError."""
        self._of(key).put(key, value)

    def add(self, key: bytes, value: bytes) -> bool:
        """Raises BpfError."""
        return self._of(key).add(key, value)

    def _of(self, key: bytes) -> Map:
        family_map = self._by_length.get(len(key))
        if family_map is None:
            raise BpfError(f"map {self._maps[0].name}: there is none for this family")
        return family_map

    def remove(self, key: bytes) -> bool:
        family_map = self._by_length.get(len(key))
        return family_map is not None and family_map.remove(key)

    def keys(self) -> Iterator[bytes]:
        for family_map in self._maps:
            yield from family_map.keys()

    def batches(self, cursor: Cursor | None = None, size: int = BATCH_SIZE) -> Iterator[list[Any]]:
        """Batches from `cursor`, which moves along, to the end of the last map."""
        cursor = cursor or Cursor()
        for _ in range(cursor.place, len(self._maps)):
            for batch in self._maps[cursor.place].batches(cursor, size):
                if cursor.position is None:  # that was all of this map
                    cursor.place = (cursor.place + 1) % len(self._maps)
                yield batch


class Programs:
    """`maps` are those of all programs by name; `adopted` tells whether an earlier director has left them."""

    def __init__(self, interfaces: Sequence[str], entries: int) -> None:
        """Load IPv4's, with room for this number of connection entries. Raises EngineError."""
        self._interfaces, self._entries = interfaces, entries
        self._leftovers = Leftovers(interfaces)
        first = self._load(IPV4)
        self._programs = {IPV4: first}
        self.adopted = first.adopted
        self._own = {name: FamilyMaps(first.maps[name]) for name in OWN_MAPS}
        self.maps: Mapping[str, Any] = {**first.maps, **self._own}
        self.use(self._leftovers.families)

    def _load(self, family: Family, shared: Mapping[str, Map] | None = None) -> Program:
        return Program(
            family,
            self._interfaces,
            self._entries,
            self._leftovers,
            shared or {},
            priority=_FIRST_PRIORITY[family],
        )

    def use(self, families: Iterable[Family]) -> bool:
        """Load the missing programs of these families; returns whether any was. Raises EngineError."""
        missing = [family for family in families if family not in self._programs]
        for family in missing:
            program = self._load(family, self._programs[IPV4].shared)
            self._programs[family] = program
            for name in OWN_MAPS:
                self._own[name].add_family(program.maps[name])
        return bool(missing)

    @property
    def families(self) -> Iterable[Family]:
        """The families in use."""
        return self._programs.keys()

    def removal_hint(self) -> str:
        return self._leftovers.removal_hint()

    def attach(self) -> None:
        """Let all loaded programs see every frame that arrives. Raises EngineError."""
        for program in self._programs.values():
            program.attach()

    def follow(self) -> None:
        """Interfaces may have been replaced by others of the same names. Raises EngineError."""
        for program in self._programs.values():
            program.follow()

    def update(self, part: str, context: bytes) -> tuple[int, bytes]:
        """Run a part that changes an entry, which `context` describes. Raises BpfError."""
        return self._programs[_OF_CONTEXT[len(context)]].run(part, context)

    def enter(self, family: Family, context: bytes) -> tuple[int, bytes]:
        """Run `enter_records` on records of this family. Raises BpfError."""
        return self._programs[family].run("enter_records", context)

    def sweep(self) -> int:
        """End expired connections; returns when the next one expires, in nanoseconds. Raises BpfError."""
        context = NEVER.to_bytes(8, sys.byteorder)
        for program in self._programs.values():
            _, context = program.run("sweep", context)
        return int.from_bytes(context, sys.byteorder)

    def close(self) -> None:
        """Detach them all."""
        for program in reversed(self._programs.values()):
            program.close()
