"""Our director with its Scapy engine, in this process: its wires are lists, its time is a number.

Everything that decides and rewrites is the real thing; sockets, routes and ARP are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from director.control.handler import RequestHandler
from director.core.director import Director
from director.core.real_server import Method
from director.engines.scapy import engine as module
from director.engines.scapy.engine import ScapyEngine
from director.engines.scapy.routes import NextHop
from oracle.control import ControlledDirector
from oracle.site import (
    CLIENTS,
    DIP,
    DIRECTOR_MACS,
    GATEWAY,
    GATEWAY_MAC,
    INSIDE,
    LOCAL,
    MTU,
    SERVERS,
    mac_of,
    side_of,
)
from oracle.talk import Frame


class _Wire:
    """Keeps what is sent until it is asked for."""

    def __init__(self, interface: str, _hears: int = 0) -> None:
        self.interface = interface
        self.mac = DIRECTOR_MACS[interface]
        self.hardware = bytes.fromhex(self.mac.replace(":", ""))
        self.mtu = MTU[interface]
        self.address = DIP if interface == CLIENTS else INSIDE
        self.coming: list[bytes] = []
        self.sent: list[bytes] = []
        self.is_behind, self.index = False, 1

    @property
    def sources(self) -> list[_Wire]:
        return [self]

    def frames(self, _most: int, _arrivals: int) -> list[bytes]:
        taken, self.coming = self.coming, []
        return taken

    def overflow(self) -> tuple[int, int]:
        return 0, 0

    def send(self, frame: bytes) -> bool:
        self.sent.append(frame)
        return True

    def close(self) -> None:
        pass


class _Routes:
    def __init__(self, wires: list[_Wire]) -> None:
        self._wires = {wire.interface: wire for wire in wires}
        self.learnt: dict[str, int] = {}

    def lookup(self, address: str) -> NextHop:
        wire: Any = self._wires[side_of(address)]
        return NextHop(wire, wire.address, address if side_of(address) == SERVERS else GATEWAY)

    def mtu_of(self, address: str) -> int:
        return self.learnt.get(address, MTU[side_of(address)])

    def learn_mtu(self, address: str, mtu: int, _now: float) -> None:
        self.learnt[address] = mtu

    def refresh(self) -> None:
        pass

    def tick(self, _now: float) -> None:
        pass

    def changed(self) -> None:
        pass


class _Neighbours:
    """All are known."""

    def __init__(self, _lost: object) -> None:
        pass

    def send(self, packet: bytes, hop: Any, _now: float) -> None:
        mac = GATEWAY_MAC if hop.address == GATEWAY else mac_of(hop.address)
        hop.wire.send(bytes.fromhex(mac.replace(":", "")) + hop.wire.hardware + b"\x08\x00" + packet)

    def tick(self, _now: float) -> None:
        pass


class _Kernel:
    def __init__(self, _interfaces: object) -> None:
        self.given: list[bytes] = []

    def start(self) -> None:
        pass

    def keep_out_of(self, _vips: object) -> None:
        pass

    def keep_out_in_steps(self, _vips: object) -> Iterator[None]:
        return iter(())

    def give(self, packet: bytes) -> bool:
        self.given.append(packet)
        return True


class _Selector:
    """Remembers what to call for each wire."""

    def __init__(self) -> None:
        self.drains: dict[str, Callable[[], None]] = {}

    def register(self, source: Any, _events: int, action: Callable[[], None]) -> None:
        if isinstance(source, _Wire):
            self.drains[source.interface] = action


class InProcessDirector(ControlledDirector):
    def __init__(self, method: str) -> None:
        stand_ins: dict[str, Any] = {
            "Wire": _Wire,
            "Routes": _Routes,
            "Neighbours": _Neighbours,
            "Kernel": _Kernel,
        }
        self._now = 1000.0
        with patch.multiple(module, **stand_ins):
            self.engine = ScapyEngine([CLIENTS, SERVERS], lambda: self._now)
        self.director = Director(
            method=Method[method.upper()],
            mtu_of=self.engine.mtu_of,
            is_local=lambda address: address in (DIP, INSIDE),
        )
        selector: Any = _Selector()
        self.engine.start(self.director, selector)
        self._drains = selector.drains
        engine: Any = self.engine
        self._wires: list[_Wire] = engine._wires
        self._kernel: _Kernel = engine._kernel
        self._handler = RequestHandler(self.director, self.engine, lambda: self._now, {})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._handler(request)

    def wait(self, seconds: float) -> None:
        end = self._now + seconds
        while self._now < end:
            self._now = min(end, self._now + 0.5)
            self.director.tick(self._now)
            self.engine.tick(self._now)

    def exchange(self, frame: Frame) -> list[Frame]:
        side, data = frame
        next(wire for wire in self._wires if wire.interface == side).coming.append(data)
        before = self._kept_back()
        self._drains[side]()
        out = [(wire.interface, sent) for wire in self._wires for sent in wire.sent]
        for wire in self._wires:
            wire.sent.clear()
        self._kernel.given.clear()
        return out if out or self._kept_back() != before else [(LOCAL, data)]

    def _kept_back(self) -> tuple[int, int]:
        """How many packets were dropped, and how many bytes of fragments wait for others."""
        engine: Any = self.engine
        return engine.counters()["dropped"], engine._fragments.size
