"""What runs inside a host of the lab to probe the network; prints the result, if any.

    in_host.py connect ADDRESS PORT SECONDS          the result of a connection attempt: `connected` or the
                                                    name of the errno, such as ECONNREFUSED, EHOSTUNREACH, or
                                                    ETIMEDOUT (also after SECONDS without an answer)
    in_host.py arp INTERFACE OWN-ADDRESS ADDRESS...  sends ARP requests for some addresses; the controller of
                                                    the switches records the replies

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
            wire.send(_who_has(own_mac, own_address, address))


def _who_has(own_mac: bytes, own_address: str, wanted: str) -> bytes:
    """An ARP request (RFC 826) in an Ethernet broadcast frame."""
    packet = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    packet += own_mac + socket.inet_aton(own_address) + bytes(6) + socket.inet_aton(wanted)
    return _BROADCAST + own_mac + struct.pack("!H", _ETHERTYPE_ARP) + packet


if __name__ == "__main__":
    probes: dict[str, Callable[..., None]] = {"connect": connect, "arp": arp}
    probes[sys.argv[1]](*sys.argv[2:])
