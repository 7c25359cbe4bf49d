"""One interface: a Scapy socket that is opened once, and what is known of the interface.

Opening a socket per packet would cost 24 ms each; the kernel's default receive buffer would
lose all but two hundred frames of a burst.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from director.engines import interfaces
from director.engines.engine import EngineError
from director.engines.scapy import offload, sieve
from director.engines.scapy.layers import L2Socket
from director.engines.scapy.sieve import Class

# linux/if_packet.h: headers that tell of offloads, and a director must not hear itself
_SOL_PACKET, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 263, 15, 23
_SO_RCVBUFFORCE = 33  # not bound by net.core.rmem_max
ALL, ARP = 0x0003, 0x0806  # linux/if_ether.h
_BUFFER = 8 * 1024 * 1024  # bytes
_LARGEST = offload.HEADER.size + 14 + 65535  # bytes: an IP packet can't be longer, merged or not


class Wire:
    """`frames` takes what has come off the wire, `send` puts a frame on it.

    `hardware` is its MAC address (6 bytes), `mac` the same as text, `address` its first IPv4
    address, `mtu` the longest IP packet in bytes.
    """

    def __init__(self, interface: str, hears: int = ALL) -> None:
        """Takes frames of one EtherType, or all. Raises EngineError."""
        self.interface = interface
        hardware = interfaces.mac_of(interface)
        if hardware is None:
            raise EngineError(f"There is no network interface {interface!r}: see `ip link`.")
        self.hardware, self.mac = hardware, hardware.hex(":")
        self.mtu, self.address = 1500, "0.0.0.0"
        try:
            self._socket = L2Socket(iface=interface, type=hears, promisc=False)
        except PermissionError:
            raise EngineError(
                f"{interface} can't be opened: the director needs the capability CAP_NET_RAW, or root."
            ) from None
        except OSError as error:
            raise EngineError(
                f"{interface} can't be opened ({error.strerror}): it takes a kernel with packet sockets."
            ) from None
        self._raw = raw = self._socket.ins
        raw.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        raw.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        sieve.attach(raw, {Class.ARRIVAL, Class.OTHER})
        raw.setblocking(False)
        try:
            raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:  # root of a user namespace: as much as the machine allows
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)  # for a link that is shaped
        self.refresh()

    def refresh(self) -> None:
        """Look up what may have changed; an interface that is gone keeps what it had."""
        self.hardware = interfaces.mac_of(self.interface) or self.hardware
        self.mac = self.hardware.hex(":")
        self.mtu = interfaces.mtu_of(self.interface) or self.mtu
        self.address = interfaces.address_of(self.interface) or self.address

    def fileno(self) -> int:
        return int(self._socket.ins.fileno())

    def frames(self, most: int) -> list[bytes]:
        """What has come in next: nothing, or about `most` frames, merged ones cut up."""
        taken: list[bytes] = []
        with suppress(OSError):  # nothing there, or the interface is down
            while len(taken) < most:
                taken += offload.finished(self._raw.recv(_LARGEST))
        return taken

    def send(self, frame: bytes) -> bool:
        """Send a frame; False where the wire does not take it."""
        try:
            self._socket.send(offload.NOTHING + frame)
        except OSError:  # the interface is down, or the frame too long
            return False
        return True

    def close(self) -> None:
        self._socket.close()
