"""A network interface: Scapy sockets that are opened once, and the interface's properties.

Opening a socket for each packet would take 24 ms; the kernel's default receive buffer would lose all but two
hundred frames of a burst.

SYNs have a socket of their own, so that packets of existing connections do not wait behind a SYN flood. When
many SYNs are waiting, each turn looks at all of them, and the gate in flood_gate.py chooses which get in; the
kernel drops those that are too many even for that. Other packets have a second gate. It closes when many are
waiting and a good part of them belongs to no connection; packets of connections bypass it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Protocol

from director.engines import interfaces
from director.engines.engine import EngineError
from director.engines.scapy import offload
from director.engines.scapy.flood_gate import FloodGate, Stamped
from director.engines.scapy.headers import L2Socket
from director.engines.scapy.host import Overflow
from director.engines.scapy.socket_filter import FrameClass, attach

ALL, ARP = 0x0003, 0x0806  # linux/if_ether.h
# linux/if_packet.h
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8
_PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 15, 23  # report offloads; do not receive own frames
_SO_RCVBUFFORCE = 33  # not bound by net.core.rmem_max
_BUFFER, _SYN_BUFFER = 8 * 1024 * 1024, 1024 * 1024  # bytes; the kernel doubles it, and counts 768 for a SYN
_ALL_SYNS = 4096  # more than fit into that buffer
_FLOOD = 256  # waiting SYNs; or other frames, if more than a quarter of them belong to no connection
_SAMPLE = 8  # one in eight is checked
_MAX_OTHERS, _CHUNK = 2048, 256  # checked in a turn of such a flood, if few are known; read at once
_STRANGERS = 16  # packets of no connection that get in, in such a turn
_STATISTICS = struct.Struct("II")  # frames received, and how many of them were dropped at a full queue
_TIMESTAMP = struct.Struct("ll")  # seconds, nanoseconds
_ANCILLARY = socket.CMSG_SPACE(_TIMESTAMP.size)
_LARGEST = offload.HEADER.size + 14 + 65535  # bytes: no IP packet is longer, merged or not

IsKnown = Callable[[bytes], bool]  # whether a frame belongs to a connection


class Link(Protocol):
    """The part of Scapy's L2Socket that is used."""

    ins: socket.socket

    def send(self, frame: bytes) -> int:
        """Raises OSError."""

    def close(self) -> None: ...


class SocketWire:
    """An interface through packet sockets; see host.Wire."""

    def __init__(
        self, interface: str, hardware: bytes, ethertype: int, link: Link, syns: Link | None
    ) -> None:
        """`link` receives frames of that EtherType (or ALL); with `syns`, SYNs arrive there instead."""
        self.interface = interface
        self.hardware, self.mac = hardware, hardware.hex(":")
        self.mtu, self.address = 1500, "0.0.0.0"
        self.index, self._ethertype = interfaces.index_of(interface), ethertype
        self._link, self._syn_link = link, syns
        self._gate, self._gate_of_strangers = FloodGate(), FloodGate()
        self._event, self._is_set = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), False
        self._is_flooded, self._shed, self._waiting = False, 0, 0
        self._is_swamped, self._strangers_shed = False, 0
        self._was_flooded = self._was_swamped = False  # a second ago
        self._sampled = self._strangers = 0
        self.is_behind = False
        self.refresh()

    @classmethod
    def open(
        cls, interface: str, ethertype: int = ALL, wanted: Collection[FrameClass] = frozenset(FrameClass)
    ) -> SocketWire:
        """Receive frames of one EtherType, or all, of the classes that are wanted. Raises EngineError."""
        hardware = interfaces.require(interface)
        syn, other = {FrameClass.SYN}, {*wanted} - {FrameClass.IGNORED}
        syns = _open(interface, ethertype, syn, _SYN_BUFFER) if ethertype == ALL else None
        link = _open(interface, ethertype, other - syn if syns else other, _BUFFER)
        link.ins.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)  # for a link that is shaped
        return cls(interface, hardware, ethertype, link, syns)

    def refresh(self) -> None:
        """Look up what may have changed; if the interface is gone, keep the last values."""
        self.hardware = interfaces.mac_of(self.interface) or self.hardware
        self.mac = self.hardware.hex(":")
        self.mtu = interfaces.mtu_of(self.interface) or self.mtu
        self.address = interfaces.address_of(self.interface) or self.address
        index = interfaces.index_of(self.interface)
        if index and index != self.index:  # replaced: the sockets are still bound to the old one
            for link in filter(None, (self._link, self._syn_link)):
                link.ins.bind((self.interface, self._ethertype))
            self.index = index

    @property
    def sources(self) -> Sequence[socket.socket | int]:
        """Descriptors that are readable while frames are waiting."""
        if self._syn_link is None:
            return [self._link.ins]
        return [self._link.ins, self._syn_link.ins, self._event]

    def frames(self, limit: int, syns: int, is_known: IsKnown) -> list[bytes]:
        """The next frames in order of arrival, merged ones segmented: about `limit`, and at most `syns` SYNs.

        What follows a SYN at once may come before it, in an earlier turn: no client sends such frames before
        its SYN is answered. `is_behind` tells afterwards whether frames other than SYNs may still be waiting.
        """
        new = self._take_syns(self._syn_link.ins, syns) if self._syn_link else ()
        others = self._take_others(limit, is_known)
        if new:
            others = sorted([*others, *new], key=itemgetter(0))
        return [frame for _, frame in others]

    def _take_syns(self, raw: socket.socket, limit: int) -> Sequence[Stamped]:
        if self._is_flooded:
            syns = _receive(raw, _ALL_SYNS)
            before = len(syns) + len(self._gate.waiting)
            chosen = self._gate.choose(syns, limit)
            self._shed += before - len(chosen) - len(self._gate.waiting)
            self._update_event()
            return chosen
        syns = _receive(raw, limit)
        if syns:
            self._waiting -= len(syns)
            self._count_syns(raw)
            if len(syns) < limit:  # that was all
                self._waiting = 0
            self._is_flooded = self._waiting > _FLOOD
        return syns

    def _take_others(self, limit: int, is_known: IsKnown) -> Sequence[Stamped]:
        if self._is_swamped:
            return self._take_known(limit, is_known)
        others = _receive(self._link.ins, limit)
        self.is_behind = len(others) >= limit
        if self.is_behind:
            self._sample(others, is_known)
        else:
            self._sampled = self._strangers = 0
        return others

    def _take_known(self, limit: int, is_known: IsKnown) -> Sequence[Stamped]:
        """About `limit` frames that are known, and a few others."""
        gate = self._gate_of_strangers
        known: list[Stamped] = []
        strangers: list[Stamped] = []
        self.is_behind = True
        while self.is_behind and len(known) < limit and len(strangers) < _MAX_OTHERS:
            others = _receive(self._link.ins, _CHUNK)
            self.is_behind = len(others) >= _CHUNK
            for stamped in others:
                (known if is_known(stamped[1]) else strangers).append(stamped)
        before = len(strangers) + len(gate.waiting)
        chosen = gate.choose(strangers, _STRANGERS)
        self._strangers_shed += before - len(chosen) - len(gate.waiting)
        self._update_event()
        return sorted([*known, *chosen], key=itemgetter(0))

    def _sample(self, others: Sequence[Stamped], is_known: IsKnown) -> None:
        """Find out whether frames that have been waiting for several turns are a flood."""
        sample = others[::_SAMPLE]
        self._sampled += len(sample)
        self._strangers += sum(not is_known(frame) for _, frame in sample)
        if self._sampled * _SAMPLE >= _FLOOD:
            self._is_swamped = self._strangers > self._sampled / 4
            self._sampled = self._strangers = 0

    def _update_event(self) -> None:
        """Wake the loop for packets that wait at a gate, even if no frame arrives."""
        if bool(self._gate.waiting or self._gate_of_strangers.waiting) != self._is_set:
            self._is_set = not self._is_set
            if self._is_set:
                os.eventfd_write(self._event, 1)
            else:
                os.eventfd_read(self._event)

    def _count_syns(self, raw: socket.socket) -> None:
        """Update how many SYNs are waiting, and how many the kernel has dropped."""
        received, dropped = _statistics(raw)
        self._shed += dropped
        self._waiting = 0 if self._is_flooded else self._waiting + received - dropped

    def overflow(self) -> Overflow:
        """Frames dropped since the last call because too many arrived.

        Called once a second; a flood is over when nothing was dropped at its gate for that long.
        """
        if self._syn_link:
            self._count_syns(self._syn_link.ins)
        dropped = Overflow(self._shed, self._strangers_shed, _statistics(self._link.ins)[1])
        self._shed = self._strangers_shed = 0
        self._is_flooded &= dropped.syns > 0 or self._is_set or not self._was_flooded
        self._is_swamped &= dropped.strangers > 0 or self._is_set or not self._was_swamped
        self._was_flooded, self._was_swamped = self._is_flooded, self._is_swamped
        return dropped

    def send(self, frame: bytes) -> bool:
        """Send a frame; False if the interface does not take it."""
        try:
            self._link.send(offload.NOTHING + frame)
        except OSError:  # the interface is down, or the frame too long
            return False
        return True

    def close(self) -> None:
        self._link.close()
        if self._syn_link:
            self._syn_link.close()
        os.close(self._event)


def _open(interface: str, ethertype: int, wanted: Collection[FrameClass], buffer: int) -> L2Socket:
    """Raises EngineError."""
    try:
        link = L2Socket(iface=interface, type=ethertype, promisc=False)
    except PermissionError:
        raise EngineError(
            f"{interface} can't be opened: the director needs the capability CAP_NET_RAW, or root."
        ) from None
    except OSError as error:
        if error.errno == errno.ENETDOWN:
            raise EngineError(f"{interface} is down: `ip link set {interface} up`.") from None
        raise EngineError(
            f"{interface} can't be opened ({error.strerror}): the kernel needs packet sockets."
        ) from None
    raw: socket.socket = link.ins
    raw.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    raw.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    raw.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 0)
    attach(raw, wanted)
    raw.setblocking(False)
    try:
        raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
    except PermissionError:  # root of a user namespace: at most net.core.rmem_max
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    with suppress(OSError):  # what arrived before the filter was attached
        while True:
            raw.recv(1)
    return link


def _receive(raw: socket.socket, limit: int) -> list[Stamped]:
    """At most `limit` frames, or a few more if merged ones are segmented."""
    frames: list[Stamped] = []
    with suppress(OSError):  # no more, or the interface is down
        while len(frames) < limit:
            data, ancillary, _, _ = raw.recvmsg(_LARGEST, _ANCILLARY)
            seconds, nanoseconds = _TIMESTAMP.unpack(ancillary[0][2]) if ancillary else (0, 0)
            when = seconds + nanoseconds / 1e9
            frames += [(when, frame) for frame in offload.finished(data)]
    return frames


def _statistics(raw: socket.socket) -> tuple[int, int]:
    """Frames received since the last call, and how many of them were dropped at a full queue."""
    counted = raw.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
    received, dropped = _STATISTICS.unpack(counted)
    return received, dropped
