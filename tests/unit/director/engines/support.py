"""A Scapy engine between fakes: what it sends and what it gives to the kernel is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.director import Director
from director.core.packet import Endpoint
from director.core.real_server import Method
from director.engines.scapy import engine as module
from director.engines.scapy.engine import ScapyEngine
from director.engines.scapy.routes import NextHop

MAC, GATEWAY_MAC = "02:00:00:00:00:01", "02:00:00:00:00:09"
CLIENT, VIP, SERVER = "198.51.100.101", "203.0.113.1", "172.16.0.2"
OWN, GATEWAY = "203.0.113.2", "203.0.113.254"


class FakeWire:
    """Keeps what is sent, gives what is put into `coming`."""

    mac, hardware, mtu, address = MAC, bytes.fromhex(MAC.replace(":", "")), 1500, OWN

    def __init__(self, interface: str, _hears: int = 0) -> None:
        self.interface = interface
        self.coming: deque[bytes] = deque()
        self.sent: list[bytes] = []
        self.overflown = 0, 0
        self.is_behind, self.index = False, 1

    @property
    def sources(self) -> list[FakeWire]:
        return [self]

    def overflow(self) -> tuple[int, int]:
        overflow, self.overflown = self.overflown, (0, 0)
        return overflow

    def frames(self, _most: int, arrivals: int) -> list[bytes]:
        self.arrivals = arrivals
        taken = list(self.coming)
        self.coming.clear()
        return taken

    def send(self, frame: bytes) -> bool:
        self.sent.append(frame)
        return True


class FakeRoutes:
    """Everything is behind one gateway."""

    def __init__(self, wires: Sequence[FakeWire]) -> None:
        self._wire = wires[0]
        self.learnt: dict[str, int] = {}

    def lookup(self, _address: str) -> NextHop:
        return NextHop(self._wire, OWN, GATEWAY)  # type: ignore[arg-type]

    def mtu_of(self, address: str) -> int:
        return self.learnt.get(address, 1500)

    def learn_mtu(self, address: str, mtu: int, _now: float) -> None:
        self.learnt[address] = mtu

    def tick(self, _now: float) -> None:
        pass

    def refresh(self) -> None:
        pass

    def changed(self) -> None:
        pass


class FakeKernel:
    def __init__(self, _interfaces: object) -> None:
        self.given: list[bytes] = []

    def start(self) -> None:
        pass

    def keep_out_of(self, _vips: set[str]) -> None:
        pass

    def keep_out_in_steps(self, _vips: object) -> Iterator[None]:
        return iter(())

    def give(self, packet: bytes) -> bool:
        self.given.append(packet)
        return True


class FakeSelector:
    """Remembers the wire and what to call when it is readable."""

    def register(self, source: object, _events: int, action: Callable[[], None]) -> None:
        if isinstance(source, FakeWire):
            self.wire, self.drain = source, action


class Running:
    """A started engine with a service on ports 80 and 21 (TCP) and 80 (UDP); the gateway is known."""

    def __init__(self, method: Method, port: int = 0) -> None:
        """`port` is the real server's own, if it is not the service's."""
        self.method = method
        self.director = Director(method=method, mtu_of=lambda address: self.engine.mtu_of(address))
        self.now = 1.0
        self.engine = ScapyEngine(["d-eth0"], lambda: self.now)
        selector = FakeSelector()
        self.engine.start(self.director, selector)  # type: ignore[arg-type]
        self.wire, self._drain = selector.wire, selector.drain
        for protocol, at in ((6, 80), (6, 21), (17, 80)):
            key = ServiceKey(protocol, Endpoint(VIP, at))
            server = Endpoint(SERVER, at if at == 21 else port or at)
            self.director.apply([AddService(key), AddServer(key, server)], 1.0)
        self.engine.install_rules()
        self.receive(IP(src=CLIENT, dst=VIP) / TCP(sport=1024, dport=80, flags="S"))  # it asks by ARP
        self.receive(ARP(op=2, psrc=GATEWAY, hwsrc=GATEWAY_MAC))
        self.wire.sent.clear()

    @property
    def given(self) -> list[bytes]:
        """What the kernel was given."""
        kernel: Any = self.engine._kernel
        return list(kernel.given)

    def receive(self, packet: Any, to: str = MAC) -> list[Any]:
        """Let a packet, or a whole frame as bytes, come in; returns the frames that it made go out."""
        before = len(self.wire.sent)
        self.take(packet if isinstance(packet, bytes) else framed(packet, to))
        return [Ether(frame) for frame in self.wire.sent[before:]]

    def take(self, frame: bytes) -> None:
        """Let a frame come in."""
        self.wire.coming.append(frame)
        self._drain()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.director.tick(self.now)
        self.engine.tick(self.now)

    def forget(self) -> None:
        """What went out, and what the kernel was given, is of no interest any more."""
        self.wire.sent.clear()
        kernel: Any = self.engine._kernel
        kernel.given.clear()


def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fakes in the places of what they stand for."""
    for name, substitute in (("Wire", FakeWire), ("Routes", FakeRoutes), ("Kernel", FakeKernel)):
        monkeypatch.setattr(module, name, substitute)


def framed(packet: Any, to: str = MAC) -> bytes:
    return bytes(Ether(dst=to, src="02:00:00:00:00:05") / packet)
