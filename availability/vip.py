"""The VIP on an interface: put it up, take it away, announce it. What moves it is vrrp/ or heartbeat/.

Needs the capabilities CAP_NET_RAW and CAP_NET_ADMIN. Everything raises OSError.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct

from scapy.layers.l2 import ARP, Ether

from availability.vrrp.instances import Address

ETH_P_ARP = 0x0806  # linux/if_ether.h
_BROADCAST = "ff:ff:ff:ff:ff:ff"
_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFHWADDR = 0x8913, 0x8915, 0x8927  # linux/sockios.h
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_RTM_NEWADDR, _RTM_DELADDR = 20, 21  # linux/rtnetlink.h
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_EXCL, _NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
_NLMSG_ERROR = 2


# ---- put up, take away: by netlink(7); a process for each would take longer than a short interval ----


def add_address(address: Address) -> None:
    """One that exists already is left as it is."""
    _change(_RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_EXCL, address, errno.EEXIST)


def remove_address(address: Address) -> None:
    """One that does not exist is no error."""
    _change(_RTM_DELADDR, 0, address, errno.EADDRNOTAVAIL)


def _change(kind: int, flags: int, address: Address, no_error: int) -> None:
    index = interface_index(address.interface)
    raw = socket.inet_aton(address.address)
    body = struct.pack("=BBBBI", socket.AF_INET, address.bits, 0, 0, index)  # struct ifaddrmsg
    for attribute in (_IFA_LOCAL, _IFA_ADDRESS):
        body += struct.pack("=HH", 4 + len(raw), attribute) + raw
    header = struct.pack("=IHHII", 16 + len(body), kind, flags | _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as made:
        made.settimeout(5)
        made.send(header + body)
        answer = made.recv(4096)
    code = -struct.unpack_from("=i", answer, 16)[0] if answer[4:6] == struct.pack("=H", _NLMSG_ERROR) else 0
    if code not in (0, no_error):
        raise OSError(code, f"{address.address} on {address.interface}")


# ---- announce ----


def send_gratuitous_arp(address: Address) -> None:
    """Once, without an instance."""
    frame = gratuitous_arp(interface_mac(address.interface), address.address)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as made:
        made.sendto(frame, (address.interface, ETH_P_ARP))


def gratuitous_arp(mac: str, address: str) -> bytes:
    """A broadcast ARP request for an address by its owner, as keepalived sends it."""
    arp = ARP(op="who-has", hwsrc=mac, psrc=address, hwdst=_BROADCAST, pdst=address)
    return bytes(Ether(src=mac, dst=_BROADCAST) / arp)


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
    """Its first IPv4 address."""
    return socket.inet_ntoa(_ask(interface, _SIOCGIFADDR)[20:24])


def interface_mac(interface: str) -> str:
    return ":".join(f"{byte:02x}" for byte in _ask(interface, _SIOCGIFHWADDR)[18:24])


def _ask(interface: str, request: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        return fcntl.ioctl(made, request, struct.pack("=40s", interface.encode()[:15]))
