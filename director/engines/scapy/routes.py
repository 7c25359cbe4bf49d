"""Which interface, own address and next hop lead to an address: the kernel's routes, by Scapy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from director.engines.netlink import ADDRESSES, LINKS, ROUTES, Monitor
from director.engines.scapy.layers import conf
from director.engines.scapy.wire import Wire

_NONE = "0.0.0.0"
_DEFAULT_MTU = 1500
_SMALLEST_MTU = 68  # bytes; RFC 791: every router can pass this much
_MOST = 4096  # ways that are remembered
_LEARNT = 600.0  # seconds for which a path's MTU is believed (Linux: route/mtu_expires)


@dataclass(frozen=True, slots=True)
class NextHop:
    """How to reach a destination: over `wire`, from `source`, through `address` (itself, if on the link)."""

    wire: Wire
    source: str
    address: str


class Routes:
    """Remembers the ways that were asked for, until the kernel's change."""

    def __init__(self, wires: Iterable[Wire]) -> None:
        self._wires = {wire.interface: wire for wire in wires}
        self._ways: dict[str, NextHop | None] = {}
        self._path_mtu: dict[str, tuple[int, float]] = {}  # and until when
        self._monitor = Monitor(LINKS | ADDRESSES | ROUTES)

    def fileno(self) -> int:
        """Readable when the kernel has news of links, addresses or routes (rtnetlink(7))."""
        return self._monitor.fileno()

    def changed(self) -> None:
        """Take in that news: what it is does not matter, all is read anew."""
        self._monitor.drain()
        self.refresh()

    def close(self) -> None:
        self._monitor.close()

    def refresh(self) -> None:
        """Read the kernel's routes and the interfaces' addresses anew."""
        for wire in self._wires.values():
            wire.refresh()
        conf.route.resync()
        self._ways.clear()

    def lookup(self, address: str) -> NextHop | None:
        """None where no route over the director's interfaces leads there."""
        if address not in self._ways:
            if len(self._ways) >= _MOST:
                self._ways.clear()
            self._ways[address] = self._look_up(address)
        return self._ways[address]

    def mtu_of(self, address: str) -> int:
        """The longest IP packet, in bytes, that fits on the way to `address`, as far as is known."""
        hop = self.lookup(address)
        here = hop.wire.mtu if hop else _DEFAULT_MTU
        learnt, _ = self._path_mtu.get(address, (here, 0.0))
        return min(here, learnt)

    @property
    def learnt(self) -> Mapping[str, int]:
        """By destination, the MTUs that were learnt from routers on the way."""
        return {address: mtu for address, (mtu, _) in self._path_mtu.items()}

    def learn_mtu(self, address: str, mtu: int, now: float) -> None:
        """A router on the way to `address` takes no more than `mtu` bytes (RFC 1191)."""
        if mtu >= _SMALLEST_MTU and (address in self._path_mtu or len(self._path_mtu) < _MOST):
            self._path_mtu[address] = mtu, now + _LEARNT

    def tick(self, now: float) -> None:
        """What was learnt long ago may have changed."""
        for address, (_, until) in list(self._path_mtu.items()):
            if until <= now:
                del self._path_mtu[address]

    def _look_up(self, address: str) -> NextHop | None:
        interface, source, gateway = conf.route.route(address, verbose=0)
        wire = self._wires.get(str(interface))
        if wire is None:
            return None
        return NextHop(
            wire, wire.address if source == _NONE else source, address if gateway == _NONE else gateway
        )
