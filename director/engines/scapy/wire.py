"""One interface: Scapy sockets that are opened once, and what is known of the interface.

Opening a socket per packet would cost 24 ms each; the kernel's default receive buffer would
lose all but two hundred frames of a burst.

SYNs have a socket of their own, so that the packets of connections that exist do not wait behind a flood
of them. When many wait, all of them are looked at in each turn, and gate.py says who gets in; what is too
much even for that, the kernel drops.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Collection, Sequence
from contextlib import suppress
from operator import itemgetter

from director.engines import interfaces
from director.engines.engine import EngineError
from director.engines.scapy import offload, sieve
from director.engines.scapy.gate import Gate, Stamped
from director.engines.scapy.layers import L2Socket
from director.engines.scapy.sieve import Class

# linux/if_packet.h: headers that tell of offloads, and a director must not hear itself
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = (
    263,
    6,
    8,
    15,
    23,
)
_SO_RCVBUFFORCE = 33  # not bound by net.core.rmem_max
ALL, ARP = 0x0003, 0x0806  # linux/if_ether.h
_BUFFER, _ARRIVALS_BUFFER = 8 * 1024 * 1024, 1024 * 1024  # bytes; a SYN takes 768 of twice as many
_ALL_ARRIVALS = 4096  # more than fit in there
_FLOOD = 256  # SYNs that wait
_STATISTICS = struct.Struct("II")  # frames that came, and of them those that found the queue full
_TIME = struct.Struct("ll")  # seconds, nanoseconds
_ANCILLARY = socket.CMSG_SPACE(_TIME.size)
_LARGEST = offload.HEADER.size + 14 + 65535  # bytes: an IP packet can't be longer, merged or not


class Wire:
    """`frames` takes what has come off the wire, `send` puts a frame on it.

    `hardware` is its MAC address (6 bytes), `mac` the same as text, `address` its first IPv4
    address, `mtu` the longest IP packet in bytes, `index` the kernel's number for it.
    """

    def __init__(self, interface: str, hears: int = ALL) -> None:
        """Takes frames of one EtherType, or all. Raises EngineError."""
        self.interface = interface
        hardware = interfaces.mac_of(interface)
        if hardware is None:
            raise EngineError(f"There is no network interface {interface!r}: see `ip link`.")
        self.hardware, self.mac = hardware, hardware.hex(":")
        self.mtu, self.address = 1500, "0.0.0.0"
        self.index, self._hears = interfaces.index_of(interface), hears
        syns = {Class.ARRIVAL}
        self._arrivals = self._open(hears, syns, _ARRIVALS_BUFFER) if hears == ALL else None
        self._others = self._open(hears, {Class.OTHER} if self._arrivals else {Class.OTHER, *syns}, _BUFFER)
        self._others.ins.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)  # for a link that is shaped
        self._gate = Gate()
        self._bell, self._rings = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), False
        self._is_flooded, self._shed, self._waiting = False, 0, 0
        self.is_behind = False
        self.refresh()

    def _open(self, hears: int, wanted: Collection[Class], room: int) -> L2Socket:
        """Raises EngineError."""
        try:
            opened = L2Socket(iface=self.interface, type=hears, promisc=False)
        except PermissionError:
            raise EngineError(
                f"{self.interface} can't be opened: the director needs the capability CAP_NET_RAW, or root."
            ) from None
        except OSError as error:
            if error.errno == errno.ENETDOWN:
                raise EngineError(f"{self.interface} is down: `ip link set {self.interface} up`.") from None
            raise EngineError(
                f"{self.interface} can't be opened ({error.strerror}): it takes a kernel with packet sockets."
            ) from None
        raw: socket.socket = opened.ins
        raw.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        raw.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        raw.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 0)
        sieve.attach(raw, wanted)
        raw.setblocking(False)
        try:
            raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, room)
        except PermissionError:  # root of a user namespace: as much as the machine allows
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        with suppress(OSError):  # what came before the filter did
            while True:
                raw.recv(1)
        return opened

    def refresh(self) -> None:
        """Look up what may have changed; an interface that is gone keeps what it had."""
        self.hardware = interfaces.mac_of(self.interface) or self.hardware
        self.mac = self.hardware.hex(":")
        self.mtu = interfaces.mtu_of(self.interface) or self.mtu
        self.address = interfaces.address_of(self.interface) or self.address
        index = interfaces.index_of(self.interface)
        if index and index != self.index:  # made anew: the sockets still belong to the one that is gone
            for opened in filter(None, (self._others, self._arrivals)):
                opened.ins.bind((self.interface, self._hears))
            self.index = index

    @property
    def sources(self) -> Sequence[socket.socket | int]:
        """Readable where there are frames."""
        return [self._others.ins, *([self._arrivals.ins, self._bell] if self._arrivals else [])]

    def frames(self, most: int, arrivals: int) -> list[bytes]:
        """What has come in next, in its order: about `most` frames, merged ones cut up, and of the SYNs
        not more than `arrivals`.

        `is_behind` says then whether there may be more than SYNs left.
        """
        syns = self._syns(self._arrivals.ins, arrivals) if self._arrivals else ()
        others = _take(self._others.ins, most)
        self.is_behind = len(others) >= most
        if syns:
            others = sorted([*others, *syns], key=itemgetter(0))
        return [frame for _, frame in others]

    def _syns(self, raw: socket.socket, most: int) -> Sequence[Stamped]:
        """At most so many."""
        if self._is_flooded:
            syns = _take(raw, _ALL_ARRIVALS)
            known = len(syns) + len(self._gate.waiting)
            chosen = self._gate.choose(syns, most)
            self._shed += known - len(chosen) - len(self._gate.waiting)
            self._ring()
            return chosen
        syns = _take(raw, most)
        if syns:
            self._waiting -= len(syns)
            self._count(raw)
            if len(syns) < most:  # all
                self._waiting = 0
            self._is_flooded = self._waiting > _FLOOD
        return syns

    def _ring(self) -> None:
        """Let the loop come back to those that wait, also when no frame comes in."""
        if bool(self._gate.waiting) != self._rings:
            self._rings = not self._rings
            if self._rings:
                os.eventfd_write(self._bell, 1)
            else:
                os.eventfd_read(self._bell)

    def _count(self, raw: socket.socket) -> None:
        """The SYNs that have come, and those for which there was no room."""
        came, dropped = _statistics(raw)
        self._shed += dropped
        self._waiting = 0 if self._is_flooded else self._waiting + came - dropped

    def overflow(self) -> tuple[int, int]:
        """How many SYNs, and other frames, had to be dropped because too many came.

        To be asked once a second, which is also how long a flood has to be over before it is taken to be.
        """
        if self._arrivals:
            self._count(self._arrivals.ins)
        shed, self._shed = self._shed, 0
        self._is_flooded = self._is_flooded and (shed > 0 or self._rings)
        return shed, _statistics(self._others.ins)[1]

    def send(self, frame: bytes) -> bool:
        """Send a frame; False where the wire does not take it."""
        try:
            self._others.send(offload.NOTHING + frame)
        except OSError:  # the interface is down, or the frame too long
            return False
        return True

    def close(self) -> None:
        self._others.close()
        if self._arrivals:
            self._arrivals.close()
        os.close(self._bell)


def _take(raw: socket.socket, most: int) -> list[Stamped]:
    """At most so many frames, or a few more where merged ones are cut up."""
    taken: list[Stamped] = []
    with suppress(OSError):  # nothing there, or the interface is down
        while len(taken) < most:
            data, ancillary, _, _ = raw.recvmsg(_LARGEST, _ANCILLARY)
            seconds, nanoseconds = _TIME.unpack(ancillary[0][2]) if ancillary else (0, 0)
            when = seconds + nanoseconds / 1e9
            taken += [(when, frame) for frame in offload.finished(data)]
    return taken


def _statistics(raw: socket.socket) -> tuple[int, int]:
    """How many frames came since this was asked last, and how many of them found the queue full."""
    counted = raw.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
    came, dropped = _STATISTICS.unpack(counted)
    return came, dropped
