"""Which MAC address a next hop has: asked by ARP (RFC 826), packets wait for the answer.

An entry that is half a minute old is asked about again while it stays in use. What others say
of themselves unasked (gratuitous ARP: an address has moved) changes entries but makes none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from director.engines.scapy.layers import ARP, Ether
from director.engines.scapy.routes import NextHop
from director.engines.scapy.wire import Wire

_BROADCAST = "ff:ff:ff:ff:ff:ff"
_IPV4 = 0x0800  # EtherType
_FRESH = 30.0  # seconds until an entry is asked about again
_PATIENCE = 1.0  # seconds between two questions
_QUESTIONS = 3  # then those who wait are given up
_WAITING = 128  # packets that may wait for one answer


class _Neighbour:
    """`link` is the Ethernet header of frames to it, empty until its MAC address is known."""

    __slots__ = ("asked", "confirmed", "hop", "link", "questions", "waiting")

    def __init__(self, hop: NextHop) -> None:
        self.hop = hop
        self.link = b""
        self.asked = self.confirmed = 0.0
        self.questions = 0
        self.waiting: deque[bytes] = deque(maxlen=_WAITING)


class Neighbours:
    """`lost` is called with the number of packets that nobody will get."""

    def __init__(self, lost: Callable[[int], None]) -> None:
        self._known: dict[tuple[Wire, str], _Neighbour] = {}
        self._lost = lost

    def send(self, packet: bytes, hop: NextHop, now: float) -> None:
        """Send an IP packet that way, at once or when its next hop has answered."""
        neighbour = self._known.get((hop.wire, hop.address))
        if neighbour is None:
            neighbour = self._known[hop.wire, hop.address] = _Neighbour(hop)
        if not neighbour.link:
            self._wait(neighbour, packet, now)
            return
        if not hop.wire.send(neighbour.link + packet):
            self._lost(1)
        if now - neighbour.confirmed > _FRESH and now - neighbour.asked > _PATIENCE:
            self._ask(neighbour, now)

    def mac_of(self, hop: NextHop) -> str:
        """The MAC address of a way's next hop, empty while it is not known."""
        neighbour = self._known.get((hop.wire, hop.address))
        return neighbour.link[:6].hex(":") if neighbour else ""

    def heard(self, wire: Wire, arp: Any, now: float) -> None:
        """Somebody on `wire` has said by ARP which MAC address an IP address has."""
        neighbour = self._known.get((wire, arp.psrc))
        if neighbour is None or int(arp.hwsrc[:2], 16) & 1:  # a group's address is nobody's own
            return
        neighbour.link = bytes(Ether(dst=arp.hwsrc, src=wire.mac, type=_IPV4))
        neighbour.confirmed, neighbour.questions = now, 0
        while neighbour.waiting:
            wire.send(neighbour.link + neighbour.waiting.popleft())

    def forget(self, wire: Wire) -> None:
        """All behind `wire`, whose interface is another one now."""
        for key in [key for key in self._known if key[0] is wire]:
            self._lost(len(self._known.pop(key).waiting))

    def tick(self, now: float) -> None:
        """Ask again where no answer came, and give up where none ever will."""
        for key, neighbour in list(self._known.items()):
            if neighbour.link or now - neighbour.asked < _PATIENCE:
                continue
            if neighbour.questions < _QUESTIONS:
                self._ask(neighbour, now)
            else:
                self._lost(len(neighbour.waiting))
                del self._known[key]

    def _wait(self, neighbour: _Neighbour, packet: bytes, now: float) -> None:
        if len(neighbour.waiting) == _WAITING:
            self._lost(1)  # the oldest makes room
        neighbour.waiting.append(packet)
        if not neighbour.questions:
            self._ask(neighbour, now)

    @staticmethod
    def _ask(neighbour: _Neighbour, now: float) -> None:
        neighbour.asked = now
        neighbour.questions += 1
        hop = neighbour.hop
        question = ARP(op="who-has", hwsrc=hop.wire.mac, psrc=hop.source, pdst=hop.address)
        hop.wire.send(bytes(Ether(dst=_BROADCAST, src=hop.wire.mac) / question))
