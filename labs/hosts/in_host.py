"""Runs on a host of the lab to probe the network; prints the result, if any.

    in_host.py connect ADDRESS PORT SECONDS          the result of a connection attempt: `connected` or the
                                                    name of the errno, such as ECONNREFUSED, EHOSTUNREACH, or
                                                    ETIMEDOUT (also after SECONDS without an answer)
    in_host.py arp INTERFACE OWN-ADDRESS ADDRESS...  sends ARP requests for some addresses, in IPv6 neighbour
                                                    solicitations; the controller of the switches records
                                                    the replies

Uses the standard library only, so it starts fast.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Callable

_ETHERTYPE_ARP = 0x0806
_BROADCAST = b"\xff" * 6
_ETHERTYPE_IPV6, _ICMPV6, _SOLICITATION = 0x86DD, 58, 135
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")  # without the last three bytes of the target


def connect(address: str, port: str, seconds: str) -> None:
    try:
        socket.create_connection((address, int(port)), float(seconds)).close()
    except TimeoutError:
        print("ETIMEDOUT")
    except OSError as error:
        print(errno.errorcode.get(error.errno or 0, str(error)))
    else:
        print("connected")


def arp(interface: str, own_address: str, *wanted: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        own_mac = wire.getsockname()[4]
        for address in wanted:
            ask = _solicitation if ":" in address else _who_has
            wire.send(ask(own_mac, own_address, address))


def _who_has(own_mac: bytes, own_address: str, wanted: str) -> bytes:
    """An ARP request (RFC 826) in an Ethernet broadcast frame."""
    packet = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    packet += own_mac + socket.inet_aton(own_address) + bytes(6) + socket.inet_aton(wanted)
    return _BROADCAST + own_mac + struct.pack("!H", _ETHERTYPE_ARP) + packet


def _solicitation(own_mac: bytes, own_address: str, wanted: str) -> bytes:
    """A neighbour solicitation (RFC 4861, 4.3) to the address's solicited-node multicast group."""
    source, target = (socket.inet_pton(socket.AF_INET6, address) for address in (own_address, wanted))
    group = _SOLICITED_NODE + target[-3:]
    body = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + target + bytes([1, 1]) + own_mac
    ends = source + group
    body = body[:2] + _checksum(ends + struct.pack("!II", len(body), _ICMPV6) + body) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, 255) + ends
    return b"\x33\x33" + group[-4:] + own_mac + struct.pack("!H", _ETHERTYPE_IPV6) + header + body


def _checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071) of an even number of bytes, not all zero."""
    return (0xFFFF - (int.from_bytes(data, "big") % 0xFFFF or 0xFFFF)).to_bytes(2, "big")


if __name__ == "__main__":
    probes: dict[str, Callable[..., None]] = {"connect": connect, "arp": arp}
    probes[sys.argv[1]](*sys.argv[2:])
