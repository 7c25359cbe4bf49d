"""The sockets of a virtual router: advertisements out and in, and gratuitous ARP.

Needs the capability CAP_NET_RAW. Everything raises OSError.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from availability import vip
from availability.vrrp import advertisements
from availability.vrrp.instances import Address, Instance

_TOS = 0xC0  # internetwork control, as in keepalived


class Sockets:
    """The sockets of one instance; `receiver` is readable when a packet has come."""

    def __init__(self, instance: Instance) -> None:
        settings = instance.settings
        self._settings = settings
        index = vip.interface_index(settings.interface)
        self.address = settings.source or vip.interface_address(settings.interface)
        group = socket.inet_aton(settings.group) + struct.pack("=4si", b"\0" * 4, index)  # struct ip_mreqn
        with contextlib.ExitStack() as stack:
            raw = (socket.AF_INET, socket.SOCK_RAW, advertisements.PROTOCOL)
            self.receiver, self._sender = (stack.enter_context(socket.socket(*raw)) for _ in range(2))
            self._arp = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            for made in (self.receiver, self._sender):
                made.setblocking(False)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, settings.interface.encode())
            self.receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, group)
            self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, advertisements.TTL)
            self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _TOS)
            self._sender.bind((self.address, 0))
            self._arp.bind((settings.interface, vip.ETH_P_ARP))
            self._stack = stack.pop_all()

    def advertise(self, priority: int) -> None:
        payload = advertisements.advertisement(self._settings, self.address, priority)
        self._sender.sendto(payload, (self._settings.group, 0))

    def receive(self) -> bytes | None:
        """The next packet with its IP header; None where there is none."""
        try:
            return self.receiver.recv(65535)
        except BlockingIOError:
            return None

    def announce(self, addresses: tuple[Address, ...], times: int) -> None:
        """Gratuitous ARP for each address on the interface that it is on."""
        macs = {address.interface: vip.interface_mac(address.interface) for address in addresses}
        frames = [
            (vip.gratuitous_arp(macs[address.interface], address.address), address.interface)
            for address in addresses
        ]
        for _ in range(times):
            for frame, interface in frames:
                self._arp.sendto(frame, (interface, vip.ETH_P_ARP))

    def close(self) -> None:
        self._stack.close()
