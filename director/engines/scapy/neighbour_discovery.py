"""Neighbour discovery (RFC 4861): for IPv6 what ARP is for IPv4, in ICMPv6 messages.

A director asks for a neighbour's MAC address with a solicitation, and learns it from the advertisement. Its
kernel answers solicitations for its own addresses.
"""

from __future__ import annotations

from socket import AF_INET6, inet_ntop, inet_pton

from director.core.family import IPV6
from director.core.packet import ICMPV6
from director.engines.scapy.checksums import computed, is_right_above
from director.engines.scapy.headers import IPv6Header

ETHERTYPE = b"\x86\xdd"
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOURCE, _TARGET = 1, 2  # options with a link-layer address, by the message that has them
_HOP_LIMIT = 255  # proves that no router has forwarded the message
_MESSAGE, _TARGET_AT = 24, 8  # bytes of a message without options; where the target is in it
_ADDRESS_OPTION = 8  # bytes of an option with a MAC address
_HEADER = bytes.fromhex("6000000000003aff")  # without length and addresses
_GROUP = bytes.fromhex("ff0200000000000000000001ff")  # ff02::1:ff00:0/104, the solicited-node addresses


def solicitation(source: str, target: str, mac: bytes) -> bytes:
    """The frame that asks the neighbour `target` for its MAC address."""
    wanted = inet_pton(AF_INET6, target)
    group = _GROUP + wanted[-3:]
    body = bytes([_SOLICITATION]) + bytes(7) + wanted + bytes([_SOURCE, 1]) + mac
    header = IPv6Header(_HEADER + inet_pton(AF_INET6, source) + group)
    header.len = len(body)
    pseudo_header = header.data[header.ADDRESSES] + len(body).to_bytes(4, "big") + bytes([0, 0, 0, ICMPV6])
    body = body[:2] + computed(pseudo_header + body) + body[4:]
    return b"\x33\x33" + group[-4:] + mac + ETHERTYPE + bytes(header) + body


def neighbour_in(packet: bytes) -> tuple[str, bytes] | None:
    """The address and the MAC address in a neighbour discovery message, if the packet is a valid one (7.1).

    An advertisement has those of its target, a solicitation those of its sender.
    """
    start = IPV6.header
    if packet[6:7] != bytes([ICMPV6]) or len(packet) < start + _MESSAGE:
        return None
    header, kind = IPv6Header(packet), packet[start]
    end = start + header.len
    if kind not in (_SOLICITATION, _ADVERTISEMENT) or header.ttl != _HOP_LIMIT or packet[start + 1]:
        return None
    if end > len(packet) or not is_right_above(packet[header.ADDRESSES], ICMPV6, packet[start:end]):
        return None
    advertises = kind == _ADVERTISEMENT
    mac = _option(packet[start + _MESSAGE : end], _TARGET if advertises else _SOURCE)
    if mac is None or mac[0] & 1:  # no host has a group address
        return None
    target = packet[start + _TARGET_AT : start + _MESSAGE]
    return (inet_ntop(AF_INET6, target) if advertises else header.src), mac


def _option(options: bytes, wanted: int) -> bytes | None:
    """The MAC address in an option of that type."""
    at = 0
    while at + _ADDRESS_OPTION <= len(options):
        kind, size = options[at], options[at + 1] * 8
        if not size:
            return None
        if kind == wanted:
            return options[at + 2 : at + _ADDRESS_OPTION]
        at += size
    return None
