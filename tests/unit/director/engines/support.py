"""A Scapy engine on a fake host with one wire: what it sends and what it gives to the kernel is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.director import Director
from director.core.events import Event
from director.core.packet import Endpoint
from director.core.real_server import Method
from director.engines.scapy.fake import FakeHost, FakeKernel, FakeWire
from director.engines.scapy.host import Route

INTERFACE = "d-eth0"
MAC, GATEWAY_MAC = "02:00:00:00:00:01", "02:00:00:00:00:09"
CLIENT, VIP, SERVER = "198.51.100.101", "203.0.113.1", "172.16.0.2"
OWN, GATEWAY = "203.0.113.2", "203.0.113.254"


def fake_wire(interface: str = INTERFACE) -> FakeWire:
    return FakeWire(interface, MAC, OWN)


def by_gateway(_destination: str) -> Route:
    """Everything is behind one gateway."""
    return Route(INTERFACE, OWN, GATEWAY)


class Running:
    """A started engine with a service on ports 80 and 21 (TCP) and 80 (UDP); the gateway is known."""

    def __init__(self, method: Method, port: int = 0, local: Iterable[str] = ()) -> None:
        """`port` is the real server's own, if it differs; `local` are the director's addresses."""
        self.method = method
        self.wire, self.kernel = fake_wire(), FakeKernel(local)
        self.host = FakeHost([self.wire], by_gateway, self.kernel)
        self.engine = self.host.engine
        self.events: list[Event] = []
        self.director = Director(
            method=method,
            mtu_of=self.engine.mtu_of,
            is_local=self.engine.is_local,
            on_event=self.events.append,
        )
        self.host.start(self.director)
        for protocol, at in ((6, 80), (6, 21), (17, 80)):
            key = ServiceKey(protocol, Endpoint(VIP, at))
            server = Endpoint(SERVER, at if at == 21 else port or at)
            self.director.apply([AddService(key), AddServer(key, server)], 1.0)
        self.engine.install_rules()
        self.receive(IP(src=CLIENT, dst=VIP) / TCP(sport=1024, dport=80, flags="S"))  # it asks by ARP
        self.receive(ARP(op=2, psrc=GATEWAY, hwsrc=GATEWAY_MAC))
        self.forget()

    def receive(self, packet: Any, to: str = MAC) -> list[Any]:
        """Let a packet, or a whole frame as bytes, come in; returns the frames that it made go out."""
        frame = packet if isinstance(packet, bytes) else framed(packet, to)
        return [Ether(sent) for _, sent in self.host.receive(INTERFACE, frame)]

    def take(self, frame: bytes) -> None:
        """Let a frame come in."""
        self.host.receive(INTERFACE, frame)

    def wait(self, seconds: float) -> None:
        self.host.wait(seconds, seconds)

    def forget(self) -> None:
        """Drop what was sent, given to the kernel and reported so far."""
        self.host.forget()
        self.events.clear()

    def reported(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind."""
        return [event.as_dict() for event in self.events if event.kind == kind]


def framed(packet: Any, to: str = MAC) -> bytes:
    return bytes(Ether(dst=to, src="02:00:00:00:00:05") / packet)
