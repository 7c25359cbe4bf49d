"""Adds the VIP to an interface, removes it, and announces it, for vrrp/ and heartbeat/.

Needs the capabilities CAP_NET_RAW and CAP_NET_ADMIN. Everything raises OSError.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from pathlib import Path

from availability.layers import ARP, Ether, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from availability.vrrp.instances import Address

ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0800, 0x0806, 0x86DD  # linux/if_ether.h
_BROADCAST = "ff:ff:ff:ff:ff:ff"
_ALL_NODES, _ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
_MAX_DAD = 5.0  # seconds that duplicate address detection may take
_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFHWADDR = 0x8913, 0x8915, 0x8927  # linux/sockios.h
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_RTM_NEWADDR, _RTM_DELADDR = 20, 21  # linux/rtnetlink.h
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_BROADCAST, _IFA_CACHEINFO = 1, 2, 3, 4, 6
_IFA_F_NODAD = 0x02  # no duplicate address detection: the other director may still have it
_FOREVER = 0xFFFFFFFF
_TENTATIVE, _LINK_SCOPE = 0x40, 0x20  # linux/if_addr.h, net/ipv6.h
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_EXCL, _NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
_NLMSG_ERROR = 2


# ---- add, remove: by netlink(7), because a process would take longer than a short interval ----


def add_address(address: Address) -> None:
    """Add an address to its interface; one that exists stays as it is."""
    _change(_RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_EXCL, address, errno.EEXIST)


def remove_address(address: Address) -> None:
    """Remove an address from its interface; it need not exist."""
    _change(_RTM_DELADDR, 0, address, errno.EADDRNOTAVAIL)


def _change(kind: int, flags: int, address: Address, no_error: int) -> None:
    index = interface_index(address.interface)
    is_ipv6 = ":" in address.address
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    raw = socket.inet_pton(family, address.address)
    nodad = _IFA_F_NODAD if is_ipv6 else 0
    body = struct.pack("=BBBBI", family, address.bits, nodad, address.scope, index)  # ifaddrmsg
    attributes = [(_IFA_LOCAL, raw), (_IFA_ADDRESS, raw)]
    if address.broadcast:
        attributes.append((_IFA_BROADCAST, socket.inet_aton(address.broadcast)))
    if address.label:
        attributes.append((_IFA_LABEL, address.label.encode() + b"\0"))
    if is_ipv6 and address.bits == 128:  # as keepalived: never the source of the director's own packets
        attributes.append((_IFA_CACHEINFO, struct.pack("=4I", 0, _FOREVER, 0, 0)))
    for attribute, value in attributes:
        body += struct.pack("=HH", 4 + len(value), attribute) + value + bytes(-len(value) % 4)
    header = struct.pack("=IHHII", 16 + len(body), kind, flags | _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as made:
        made.settimeout(5)
        made.send(header + body)
        answer = made.recv(4096)
    code = -struct.unpack_from("=i", answer, 16)[0] if answer[4:6] == struct.pack("=H", _NLMSG_ERROR) else 0
    if code not in (0, no_error):
        raise OSError(code, f"{address.address} on {address.interface}: {os.strerror(code)}")


# ---- announce ----


def send_gratuitous_arp(address: Address) -> None:
    """Send one announcement of an address on its interface."""
    frame = announcement(address)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as made:
        made.sendto(frame, (address.interface, ETH_P_ARP))


def gratuitous_arp(mac: str, address: str) -> bytes:
    """A broadcast ARP request for an address by its owner, as keepalived sends it."""
    arp = ARP(op="who-has", hwsrc=mac, psrc=address, hwdst=_BROADCAST, pdst=address)
    return bytes(Ether(src=mac, dst=_BROADCAST) / arp)


def announcement(address: Address) -> bytes:
    """The frame that announces the new owner of an address to all neighbours."""
    mac = interface_mac(address.interface)
    if ":" not in address.address:
        return gratuitous_arp(mac, address.address)
    forwards = Path("/proc/sys/net/ipv6/conf", address.interface, "forwarding").read_text() != "0\n"
    return neighbour_advertisement(mac, address.address, router=forwards)


def neighbour_advertisement(mac: str, address: str, *, router: bool) -> bytes:
    """An unsolicited advertisement to all nodes, with the override flag (RFC 4861), as keepalived sends it.

    Without the router flag, hosts would remove a default route via this address.
    """
    message = ICMPv6ND_NA(R=int(router), S=0, O=1, tgt=address) / ICMPv6NDOptDstLLAddr(lladdr=mac)
    return bytes(Ether(src=mac, dst=_ALL_NODES_MAC) / IPv6(src=address, dst=_ALL_NODES, hlim=255) / message)


# ---- interfaces ----


def interface_index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        raise OSError(errno.ENODEV, f"there is no interface {interface}") from None


def is_running(interface: str) -> bool:
    """Whether an interface exists, is up and has a carrier."""
    try:
        flags: int = struct.unpack_from("=16xH", _ask(interface, _SIOCGIFFLAGS))[0]
    except OSError:
        return False
    return flags & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING


def interface_address(interface: str) -> str:
    """The interface's first IPv4 address."""
    return socket.inet_ntoa(_ask(interface, _SIOCGIFADDR)[20:24])


def link_local_address(interface: str) -> str:
    """The interface's link-local IPv6 address; waits for duplicate address detection on a new interface."""
    deadline = time.monotonic() + _MAX_DAD
    while time.monotonic() < deadline:
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            packed, _, _, scope, flags, name = line.split()
            if name == interface and int(scope, 16) == _LINK_SCOPE and not int(flags, 16) & _TENTATIVE:
                return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(packed))
        time.sleep(0.05)
    raise OSError(errno.EADDRNOTAVAIL, f"{interface} has no link-local IPv6 address")


def interface_mac(interface: str) -> str:
    return ":".join(f"{byte:02x}" for byte in _ask(interface, _SIOCGIFHWADDR)[18:24])


def _ask(interface: str, request: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        return fcntl.ioctl(made, request, struct.pack("=40s", interface.encode()[:15]))
