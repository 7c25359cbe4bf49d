"""Router discovery and neighbour advertisements (RFC 4861), in place of radvd(8) and keepalived(8).

    router_discovery.py advertise INTERFACE SECONDS   router advertisements: at once, every SECONDS, and on
                                                      each solicitation, until it is ended
    router_discovery.py announce INTERFACE FLAGS      an unsolicited neighbour advertisement to all hosts: the
                                                      router's link-local address has this MAC address. FLAGS
                                                      are letters: R router, S solicited, O override
    router_discovery.py solicit INTERFACE             a router solicitation from a host

Uses the standard library only, so it starts fast.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address

_SOLICITATION, _ADVERTISEMENT, _NEIGHBOUR = 133, 134, 136  # types of ICMPv6
_ALL_NODES, _ALL_ROUTERS = "ff02::1", "ff02::2"
_SOURCE_LINK, _TARGET_LINK = 1, 2  # options with a MAC address
_FLAGS = {"R": 0x80, "S": 0x40, "O": 0x20}
_HOPS = 255  # receivers ignore packets with any other hop limit
_LIFETIME = 9000  # seconds that hosts keep the router, RFC 4861's maximum
_LINK_LOCAL = "fe8"  # as /proc/net/if_inet6 begins


def advertise(interface: str, seconds: str) -> None:
    with _socket(interface) as wire:
        group = socket.inet_pton(socket.AF_INET6, _ALL_ROUTERS)
        index = socket.if_nametoindex(interface)
        wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", index))
        due = time.monotonic()
        while True:
            asked, _, _ = select.select([wire], [], [], max(0.0, due - time.monotonic()))
            if not asked or wire.recv(1500)[0] == _SOLICITATION:
                body = struct.pack("!BBHBBHII", _ADVERTISEMENT, 0, 0, 64, 0, _LIFETIME, 0, 0)
                with suppress(OSError):  # the interface is down, and may come up later
                    wire.sendto(body + _option(_SOURCE_LINK, interface), (_ALL_NODES, 0, 0, index))
            if not asked:
                due += float(seconds)


def announce(interface: str, flags: str) -> None:
    bits = sum(bit for name, bit in _FLAGS.items() if name in flags)
    target = _link_local(interface).packed
    with _socket(interface) as wire:
        body = struct.pack("!BBHI", _NEIGHBOUR, 0, 0, bits << 24) + target
        index = socket.if_nametoindex(interface)
        wire.sendto(body + _option(_TARGET_LINK, interface), (_ALL_NODES, 0, 0, index))


def solicit(interface: str) -> None:
    with _socket(interface) as wire:
        body = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0)
        wire.sendto(body, (_ALL_ROUTERS, 0, 0, socket.if_nametoindex(interface)))


def _socket(interface: str) -> socket.socket:
    """A socket for ICMPv6 on an interface, from its link-local address; the kernel computes the checksum."""
    wire = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    index = socket.if_nametoindex(interface)
    wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
    wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    return wire


def _link_local(interface: str) -> IPv6Address:
    with open("/proc/net/if_inet6") as lines:
        for line in lines:
            address, *_, name = line.split()
            if name == interface and address.startswith(_LINK_LOCAL):
                return IPv6Address(bytes.fromhex(address))
    raise SystemExit(f"{interface} has no link-local address.")


def _option(kind: int, interface: str) -> bytes:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as frames:
        frames.bind((interface, 0))
        mac: bytes = frames.getsockname()[4]
    return bytes([kind, 1]) + mac


if __name__ == "__main__":
    verbs: dict[str, Callable[..., None]] = {"advertise": advertise, "announce": announce, "solicit": solicit}
    verbs[sys.argv[1]](*sys.argv[2:])
