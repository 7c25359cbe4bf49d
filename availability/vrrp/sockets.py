"""The sockets of a virtual router: for advertisements, gratuitous ARP, and neighbour advertisements of IPv6.

Needs the capability CAP_NET_RAW. Everything raises OSError.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct

from availability import vip
from availability.vrrp import advertisements
from availability.vrrp.instances import Address, Instance

_TOS = 0xC0  # internetwork control, as in keepalived
_PKTINFO, _HOPLIMIT = 50, 52  # IPV6_PKTINFO, IPV6_HOPLIMIT: ancillary data (linux/in6.h)
_IN6_PKTINFO = struct.Struct("=16si")
_MAX_PACKET = 65535

# Classic BPF (linux/filter.h): load the EtherType and IP's protocol; return the whole packet, or nothing.
_NOTHING = ((0x06, 0, 0, 0),)
_ADVERTISEMENTS = {
    is_ipv6: (
        *((0x28, 0, 0, 0xFFFFF000), (0x15, 0, 3, kind)),
        *((0x30, 0, 0, at), (0x15, 0, 1, advertisements.PROTOCOL)),
        *((0x06, 0, 0, _MAX_PACKET), *_NOTHING),
    )
    for is_ipv6, kind, at in ((False, vip.ETH_P_IP, 9), (True, vip.ETH_P_IPV6, 6))
}
_ETH_P_ALL = 3  # linux/if_ether.h
_SO_ATTACH_FILTER, _SOL_PACKET, _PACKET_IGNORE_OUTGOING = 26, 263, 23  # asm-generic/socket.h, if_packet.h


def _filter(made: socket.socket, instructions: tuple[tuple[int, int, int, int], ...]) -> None:
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    )
    program = struct.pack("HP", len(instructions), ctypes.addressof(code))  # struct sock_fprog
    made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


class Sockets:
    """The sockets of one instance; `receiver` is readable when a packet has arrived."""

    def __init__(self, instance: Instance) -> None:
        settings = instance.settings
        self._settings = settings
        virtual = instance.virtual_mac
        self._virtual_mac = virtual.address if virtual and virtual.advertises else None
        self._membership: socket.socket | None = None  # has joined the group, if `receiver` has not
        self._index = vip.interface_index(settings.interface)
        own = vip.link_local_address if settings.is_ipv6 else vip.interface_address
        self.address = settings.source or own(settings.interface)
        with contextlib.ExitStack() as stack:
            family = socket.AF_INET6 if settings.is_ipv6 else socket.AF_INET
            raw = (family, socket.SOCK_RAW, advertisements.PROTOCOL)
            self.receiver, self._sender = (stack.enter_context(socket.socket(*raw)) for _ in range(2))
            self._frames = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            for made in (self.receiver, self._sender):
                made.setblocking(False)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, settings.interface.encode())
            (self._set_up_ipv6 if settings.is_ipv6 else self._set_up_ipv4)()
            self._frames.bind((settings.interface, vip.ETH_P_ARP))
            if virtual:  # only packet sockets get another router's frames with this MAC address
                self._membership, self.receiver = self.receiver, stack.enter_context(self._tap())
                _filter(self._membership, _NOTHING)
            self._stack = stack.pop_all()

    def _set_up_ipv4(self) -> None:
        membership = socket.inet_aton(self._settings.group) + struct.pack("=4si", b"\0" * 4, self._index)
        self.receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)  # struct ip_mreqn
        self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, membership)
        self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, advertisements.TTL)
        self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _TOS)
        self._sender.bind((self.address, 0))

    def _set_up_ipv6(self) -> None:
        group = socket.inet_pton(socket.AF_INET6, self._settings.group)
        membership = group + struct.pack("=i", self._index)  # struct ipv6_mreq
        self.receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        for option in (socket.IPV6_RECVPKTINFO, socket.IPV6_RECVHOPLIMIT):
            self.receiver.setsockopt(socket.IPPROTO_IPV6, option, 1)
        for option, value in (
            (socket.IPV6_MULTICAST_IF, self._index),
            (socket.IPV6_MULTICAST_HOPS, advertisements.TTL),
            (socket.IPV6_MULTICAST_LOOP, 0),
            (socket.IPV6_TCLASS, _TOS),
        ):
            self._sender.setsockopt(socket.IPPROTO_IPV6, option, value)
        self._sender.bind((self.address, 0, 0, self._index))

    def _tap(self) -> socket.socket:
        """A packet socket: it gets advertisements on the interface before the kernel drops any."""
        made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        made.setblocking(False)
        made.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        _filter(made, _ADVERTISEMENTS[self._settings.is_ipv6])
        made.bind((self._settings.interface, _ETH_P_ALL))  # with one EtherType, frames would arrive too late
        return made

    def advertise(self, priority: int) -> None:
        payload = advertisements.advertisement(self._settings, self.address, priority)
        if self._virtual_mac is not None:
            frame, kind = advertisements.frame(payload, self._settings, self.address, self._virtual_mac, _TOS)
            self._frames.sendto(frame, (self._settings.interface, kind))
            return
        scope = (0, self._index) if self._settings.is_ipv6 else ()
        self._sender.sendto(payload, (self._settings.group, 0, *scope))

    def receive(self) -> bytes | None:
        """The next packet with its IP header; None if none has arrived."""
        try:
            if self._membership is not None:
                packet = self.receiver.recv(_MAX_PACKET)
                return advertisements.unpadded(packet, self._settings)
            return self._receive_ipv6() if self._settings.is_ipv6 else self.receiver.recv(_MAX_PACKET)
        except BlockingIOError:
            return None

    def _receive_ipv6(self) -> bytes:
        """A packet; rebuilds its header from ancillary data: a raw IPv6 socket delivers the payload only."""
        payload, ancillary, _, sender = self.receiver.recvmsg(_MAX_PACKET, 256)
        messages = {kind: data for _, kind, data in ancillary}
        source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
        destination = messages.get(_PKTINFO, bytes(_IN6_PKTINFO.size))[:16]
        (limit,) = struct.unpack("=i", messages.get(_HOPLIMIT, bytes(4)))
        head = struct.pack("!IHBB", 6 << 28, len(payload), advertisements.PROTOCOL, limit & 0xFF)
        return head + source + destination + payload

    def announce(self, addresses: tuple[Address, ...], times: int) -> None:
        """Gratuitous ARP, or an unsolicited neighbour advertisement, for each address on its interface."""
        frames = [(vip.announcement(address), address.interface) for address in addresses]
        for _ in range(times):
            for frame, interface in frames:
                kind = vip.ETH_P_IPV6 if frame[12:14] == b"\x86\xdd" else vip.ETH_P_ARP
                self._frames.sendto(frame, (interface, kind))

    def close(self) -> None:
        self._stack.close()
