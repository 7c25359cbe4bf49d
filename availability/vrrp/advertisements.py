"""VRRP advertisements of versions 2 and 3, built and read by Scapy's layers.

Anyone on the network can send one: `read` checks all of it, and raises Malformed. Version 2 has keepalived's
layout, always with 8 bytes of authentication data.
"""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from availability.layers import IP, VRRP, Ether, IPv6, Raw, VRRPv3, checksum, in4_chksum, in6_chksum
from availability.vrrp.router import Advertisement, Settings

PROTOCOL = 112
TTL = 255  # anything less has passed a router
_HEADER, _AUTHENTICATION, _IP_HEADER, _IPV6_HEADER = 8, 8, 20, 40
_PASSWORD = 1  # the authentication type


class Malformed(Exception):
    """Not an advertisement of this virtual router. The message is the reason, to follow "with"."""


def advertisement(settings: Settings, source: str, priority: int) -> bytes:
    """The payload of the IP packet."""
    about = {"vrid": settings.vrid, "priority": priority, "addrlist": list(settings.addresses)}
    if settings.is_ipv6:
        under = IPv6(src=source, dst=settings.group, hlim=TTL, nh=PROTOCOL)
        return bytes(under / VRRPv3(adv=round(settings.interval * 100), **about))[_IPV6_HEADER:]
    under = IP(src=source, dst=settings.group, ttl=TTL, proto=PROTOCOL)
    if settings.version == 3:
        return bytes(under / VRRPv3(adv=round(settings.interval * 100), **about))[_IP_HEADER:]
    kind = 0 if settings.password is None else _PASSWORD
    first, second = _authentication(settings)
    return bytes(VRRP(adv=round(settings.interval), authtype=kind, auth1=first, auth2=second, **about))


def frame(payload: bytes, settings: Settings, source: str, mac: str, tos: int) -> tuple[bytes, int]:
    """The frame of an advertisement with the source `mac`, not the interface's; and its EtherType."""
    group = inet_pton(AF_INET6 if settings.is_ipv6 else AF_INET, settings.group)
    under: IP | IPv6
    if settings.is_ipv6:
        destination, kind = b"\x33\x33" + group[-4:], 0x86DD  # RFC 2464, 7
        under = IPv6(src=source, dst=settings.group, hlim=TTL, nh=PROTOCOL, tc=tos)
    else:
        destination, kind = bytes((0x01, 0x00, 0x5E, group[1] & 0x7F)) + group[2:], 0x0800  # RFC 1112, 6.4
        under = IP(src=source, dst=settings.group, ttl=TTL, proto=PROTOCOL, tos=tos)
    return bytes(Ether(src=mac, dst=destination.hex(":"), type=kind) / under / Raw(payload)), kind


def _authentication(settings: Settings) -> tuple[int, int]:
    first, second = struct.unpack("!II", (settings.password or "").encode()[:8].ljust(8, b"\0"))
    return first, second


def unpadded(packet: bytes, settings: Settings) -> bytes | None:
    """An IP packet without Ethernet's padding; None if it is not for the group, or damaged.

    The checks are those that the kernel makes before it passes a packet to a raw socket.
    """
    if settings.is_ipv6:
        if len(packet) < _IPV6_HEADER or packet[24:40] != inet_pton(AF_INET6, settings.group):
            return None
        return packet[: _IPV6_HEADER + int.from_bytes(packet[4:6], "big")]
    header = (packet[0] & 0x0F) * 4 if packet else 0
    size = int.from_bytes(packet[2:4], "big")
    is_fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF
    if not _IP_HEADER <= header <= size <= len(packet) or is_fragment or checksum(packet[:header]):
        return None
    return packet[:size] if packet[16:20] == inet_pton(AF_INET, settings.group) else None


def read(packet: bytes, settings: Settings) -> Advertisement | None:
    """The advertisement in an IP packet; None if it is another virtual router's. Raises Malformed."""
    header = _IPV6_HEADER if settings.is_ipv6 else (packet[0] & 0x0F) * 4 if packet else 0
    if not _IP_HEADER <= header <= len(packet) - _HEADER:
        raise Malformed(f"a packet of only {len(packet)} bytes")
    message = packet[header:]
    if message[1] != settings.vrid:
        return None
    ttl = packet[7] if settings.is_ipv6 else packet[8]
    if ttl != TTL:
        raise Malformed(f"TTL {ttl} instead of {TTL}")
    if message[0] != settings.version << 4 | 1:
        raise Malformed(
            f"version {message[0] >> 4}, type {message[0] & 0x0F} instead of {settings.version}, 1"
        )
    size = 16 if settings.is_ipv6 else 4
    expected = _HEADER + size * message[3] + (_AUTHENTICATION if settings.version == 2 else 0)
    if len(message) != expected:
        raise Malformed(f"{len(message)} bytes instead of {expected}")
    if settings.is_ipv6:
        source, destination = (inet_ntop(AF_INET6, packet[at : at + 16]) for at in (8, 24))
        return _read_3(message, settings, IPv6(src=source, dst=destination))
    source = ".".join(map(str, packet[12:16]))
    under = IP(src=source, dst=".".join(map(str, packet[16:20])))
    return _read_2(message, settings, source) if settings.version == 2 else _read_3(message, settings, under)


def _read_2(message: bytes, settings: Settings, source: str) -> Advertisement:
    if checksum(message):
        raise Malformed("a wrong checksum")
    found = VRRP(message)
    kind = 0 if settings.password is None else _PASSWORD
    if found.authtype != kind or (kind and (found.auth1, found.auth2) != _authentication(settings)):
        raise Malformed("other authentication data")
    if found.adv != round(settings.interval):
        raise Malformed(f"an interval of {found.adv} s instead of {round(settings.interval)} s")
    _check_addresses(found.addrlist, settings)
    return Advertisement(source, found.priority, float(found.adv))


def _read_3(message: bytes, settings: Settings, under: IP | IPv6) -> Advertisement:
    if (in6_chksum if settings.is_ipv6 else in4_chksum)(PROTOCOL, under, message):
        raise Malformed("a wrong checksum")
    found = VRRPv3(message, _underlayer=under)
    _check_addresses(found.addrlist, settings)
    if not found.adv:
        raise Malformed("an interval of 0")
    return Advertisement(under.src, found.priority, found.adv / 100)


def _check_addresses(found: list[str], settings: Settings) -> None:
    if sorted(found) != sorted(settings.addresses):
        raise Malformed(
            f"the addresses {', '.join(found) or 'none'} instead of {', '.join(settings.addresses)}"
        )
