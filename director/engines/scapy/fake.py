"""A Scapy engine without a network: its wires are lists, its kernel keeps packets, its time is a number.

All that decides and rewrites is the real engine; only what host.py describes is replaced.

    host = FakeHost([FakeWire("eth0", mac, address)], lambda destination: Route("eth0", address, gateway))
    director = Director(mtu_of=host.engine.mtu_of)
    host.start(director)
    frames = host.receive("eth0", frame)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from director.engines.scapy.engine import ScapyEngine
from director.engines.scapy.host import Overflow, Route
from director.engines.scapy.next_hops import Neighbours, Routes

if TYPE_CHECKING:
    from director.core.director import Director
    from director.core.rules import LocalServers


class FakeWire:
    """`incoming` frames will be received, `sent` ones were sent; `syns` is the limit of the last call."""

    def __init__(self, interface: str, mac: str, address: str, mtu: int = 1500) -> None:
        self.interface = interface
        self.mac, self.hardware = mac, bytes.fromhex(mac.replace(":", ""))
        self.address, self.mtu = address, mtu
        self.index: int | None = 1
        self.is_behind = False
        self.incoming: list[bytes] = []
        self.sent: list[bytes] = []
        self.syns = 0
        self.dropped = Overflow()  # what `overflow` returns next

    @property
    def sources(self) -> Sequence[Any]:
        return [self]

    def frames(self, limit: int, syns: int, is_known: Callable[[bytes], bool]) -> list[bytes]:  # noqa: ARG002
        self.syns = syns
        frames, self.incoming = self.incoming, []
        return frames

    def send(self, frame: bytes) -> bool:
        self.sent.append(frame)
        return True

    def overflow(self) -> Overflow:
        dropped, self.dropped = self.dropped, Overflow()
        return dropped

    def refresh(self) -> None:
        pass

    def close(self) -> None:
        pass


class FakeRoutes:
    """A routing table that is a function."""

    def __init__(self, lookup: Callable[[str], Route]) -> None:
        self._lookup = lookup
        self.own: Collection[str] = frozenset()

    def fileno(self) -> int:
        return -1

    def refresh(self) -> None:
        pass

    def lookup(self, destination: str) -> Route:
        return self._lookup(destination)

    def close(self) -> None:
        pass


class FakeKernel:
    """`delivered` are packets, `blocked` the sets of VIPs of all calls, `local` its own addresses."""

    def __init__(self, local: Iterable[str] = ()) -> None:
        self.delivered: list[bytes] = []
        self.blocked: list[set[str]] = []
        self.local = set(local)

    def start(self) -> None:
        pass

    def block(self, vips: set[str]) -> None:
        self.blocked.append(set(vips))

    def block_in_steps(self, vips: set[str]) -> Iterator[None]:
        self.block(vips)
        return iter(())

    def redirect_in_steps(
        self,
        local: Iterable[LocalServers],  # noqa: ARG002
        *,
        keep: bool = False,  # noqa: ARG002
    ) -> Iterator[None]:
        return iter(())

    def deliver(self, packet: bytes) -> bool:
        self.delivered.append(packet)
        return True

    def is_local(self, address: str) -> bool:
        return address in self.local

    def close(self) -> None:
        pass


class FakeSelector:
    """Remembers what to call for each wire."""

    def __init__(self) -> None:
        self.actions: dict[str, Callable[[], None]] = {}

    def register(self, source: object, _events: int, action: Callable[[], None]) -> None:
        if isinstance(source, FakeWire):
            self.actions[source.interface] = action


class FakeHost:
    """An engine with fakes of its surroundings. `now` is the time, which only `wait` moves."""

    def __init__(
        self,
        wires: Sequence[FakeWire],
        lookup: Callable[[str], Route],
        kernel: FakeKernel | None = None,
        now: float = 1.0,
    ) -> None:
        self.wires = {wire.interface: wire for wire in wires}
        self.kernel = kernel or FakeKernel()
        self.now = now
        self.neighbours = Neighbours()
        self.routes = Routes(wires, FakeRoutes(lookup))
        self.engine = ScapyEngine(wires, self.routes, self.neighbours, self.kernel, lambda: self.now)
        self._selector = FakeSelector()

    def start(self, director: Director) -> None:
        self._director = director
        self.engine.start(director, self._selector)  # type: ignore[arg-type]

    def receive(self, interface: str, frame: bytes) -> list[tuple[str, bytes]]:
        """Let a frame arrive; returns the frames that are sent because of it, each with its interface."""
        before = {wire.interface: len(wire.sent) for wire in self.wires.values()}
        self.wires[interface].incoming.append(frame)
        self._selector.actions[interface]()
        return [(name, frame) for name, wire in self.wires.items() for frame in wire.sent[before[name] :]]

    def wait(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass, in steps."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            self._director.tick(self.now)
            self.engine.tick(self.now)

    def forget(self) -> None:
        """Drop the frames and packets kept so far."""
        for wire in self.wires.values():
            wire.sent.clear()
        self.kernel.delivered.clear()
