"""The user-space tunl0: IP in IP (RFC 2003) for a kernel without the ipip module.

It is a TUN device with the historic name, and this process, which reads IP protocol 4 from a raw socket,
removes the outer header, and writes the inner packet to the device. The kernel receives it there as from a
cable. Replies do not pass through it: in VS-TUN they take the real server's ordinary route.

As ip6tnl0 it does the same for IPv6 in IPv6 (RFC 2473, protocol 41) on a kernel without ip6_tunnel.

Between namespaces and virtual machines, a sender may leave the TCP or UDP checksum to a network card that
does not exist. The kernel marks such packets, but a raw socket does not show the mark, so this process
computes their checksums.

By hand: python -m realserver_setup.tunl0 [--device tunl0|ip6tnl0]
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable

from director.engines import tuntap
from realserver_setup.build import TUNNEL, TUNNEL6
from realserver_setup.errors import DaemonFailed
from realserver_setup.validators import interface

_IPIP, _IPV6 = socket.IPPROTO_IPIP, socket.IPPROTO_IPV6
_LARGEST = 65535  # bytes of a packet; the kernel reassembles fragments first
_BUFFER = 4 * 1024 * 1024  # bytes of the receive buffer
_SHORTEST = 20  # bytes of an IPv4 header without options
_FRAGMENT = 0x3FFF  # "more fragments" and the offset
_HEADER6 = 40  # bytes of an IPv6 header
_CHECKSUMS = {socket.IPPROTO_TCP: 16, socket.IPPROTO_UDP: 6}  # offset of the checksum in the header


def decapsulate(packet: bytes) -> bytes | None:
    """The inner packet of an IPv4-in-IPv4 `packet`, or None if it is incomplete or malformed.

    Bytes after the inner packet's own length (padding of a short frame) are cut off.
    """
    outer = _lengths(packet)
    if outer is None or packet[9] != _IPIP or int.from_bytes(packet[6:8], "big") & _FRAGMENT:
        return None
    inner = packet[outer[0] : outer[1]]
    lengths = _lengths(inner)
    return None if lengths is None else inner[: lengths[1]]


def _lengths(packet: bytes) -> tuple[int, int] | None:
    """The header length and total length in an IPv4 header, in bytes; None if they are impossible."""
    if len(packet) < _SHORTEST or packet[0] >> 4 != 4:
        return None
    header, total = (packet[0] & 0x0F) * 4, int.from_bytes(packet[2:4], "big")
    return (header, total) if _SHORTEST <= header <= total <= len(packet) else None


def decapsulate6(content: bytes) -> bytes | None:
    """The IPv6 packet in `content`, the payload of the outer packet (a raw socket does not show its header).

    None if it is incomplete or malformed.
    """
    if len(content) < _HEADER6 or content[0] >> 4 != 6:
        return None
    total = _HEADER6 + int.from_bytes(content[4:6], "big")
    return content[:total] if total <= len(content) else None


def finished(packet: bytes) -> bytes:
    """A well-formed `packet`, with its TCP or UDP checksum completed if that is partial.

    A partial checksum is the sum over the pseudo header (Linux: CHECKSUM_PARTIAL). One damaged packet in
    65,536 looks like that, as rarely as one passes for undamaged. Fragments, which in IPv6 have an extension
    header, never have partial checksums.
    """
    if packet[0] >> 4 == 6:
        header, protocol, addresses = _HEADER6, packet[6], packet[8:40]
    elif int.from_bytes(packet[6:8], "big") & _FRAGMENT:
        return packet
    else:
        header, protocol, addresses = (packet[0] & 0x0F) * 4, packet[9], packet[12:20]
    where, segment = _CHECKSUMS.get(protocol), packet[header:]
    if where is None or len(segment) < where + 2:
        return packet
    pseudo_header = addresses + bytes([0, protocol]) + len(segment).to_bytes(2, "big")
    begun = _sum(pseudo_header)
    if segment[where : where + 2] != begun or _sum(pseudo_header + segment) == b"\xff\xff":
        return packet
    checksum = bytes(byte ^ 0xFF for byte in _sum(segment))
    return packet[: header + where] + (checksum if any(checksum) else b"\xff\xff") + segment[where + 2 :]


def _sum(data: bytes) -> bytes:
    """The ones' complement sum (RFC 1071) of data that is not all zero."""
    total = int.from_bytes(data, "big") << 8 * (len(data) % 2)
    return (total % 0xFFFF or 0xFFFF).to_bytes(2, "big")


def open_device(name: str = TUNNEL) -> int:
    """Create the TUN device `name`, which exists while the returned descriptor is open.

    Raises DaemonFailed.
    """
    interface("device", name)
    try:
        descriptor = tuntap.create(name, tuntap.TUN)
    except OSError as error:
        hint = " (does it exist already?)" if error.errno in (errno.EBUSY, errno.EINVAL) else ""
        raise DaemonFailed(f"The TUN device {name} can't be created: {error.strerror}{hint}.") from None
    return descriptor


def open_socket(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A raw socket for tunnelled packets of `family`, with a large buffer. Raises DaemonFailed."""
    try:
        raw = socket.socket(family, socket.SOCK_RAW, _IPIP if family == socket.AF_INET else _IPV6)
    except OSError as error:
        raise DaemonFailed(
            f"A raw socket for IP in IP can't be opened: {error.strerror}; run this as root."
        ) from None
    for option in (socket.SO_RCVBUF, 33):  # 33: SO_RCVBUFFORCE, which ignores net.core.rmem_max
        with contextlib.suppress(PermissionError):
            raw.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
    return raw


def forward(raw: socket.socket, device: int) -> None:
    """Receive a packet and write its inner packet to the device; drop it if malformed."""
    received = raw.recv(_LARGEST)
    packet = decapsulate(received) if raw.family == socket.AF_INET else decapsulate6(received)
    if packet is not None:
        with contextlib.suppress(OSError):  # the device is down (EIO), or the packet is refused (EINVAL)
            os.write(device, finished(packet))


def serve(ready: Callable[[], None], device: str = TUNNEL) -> None:
    """Run a tunnel for ever (IPv6 for ip6tnl0); call `ready` when the device exists. Raises DaemonFailed."""
    family = socket.AF_INET6 if device == TUNNEL6 else socket.AF_INET
    descriptor, raw = open_device(device), open_socket(family)
    ready()
    while True:
        forward(raw, descriptor)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m realserver_setup.tunl0", description="A user-space tunl0."
    )
    parser.add_argument("--device", default=TUNNEL)
    options = parser.parse_args(arguments)
    try:
        serve(lambda: print(f"{options.device} is ready; Ctrl-C ends it.", flush=True), options.device)
    except KeyboardInterrupt:
        return 0
    except (DaemonFailed, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
