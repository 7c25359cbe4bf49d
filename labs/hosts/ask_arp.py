"""Send ARP requests for some addresses on one interface: `ask_arp.py INTERFACE OWN-ADDRESS ADDRESS...`.

Runs inside a host of the lab, so it uses the standard library only. The controller of the switches records
the replies.
"""

from __future__ import annotations

import socket
import struct
import sys

_ETHERTYPE_ARP = 0x0806
_BROADCAST = b"\xff" * 6


def who_has(own_mac: bytes, own_address: str, wanted: str) -> bytes:
    """An ARP request (RFC 826) in an Ethernet broadcast frame."""
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    arp += own_mac + socket.inet_aton(own_address) + bytes(6) + socket.inet_aton(wanted)
    return _BROADCAST + own_mac + struct.pack("!H", _ETHERTYPE_ARP) + arp


def main(interface: str, own_address: str, *wanted: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        own_mac = wire.getsockname()[4]
        for address in wanted:
            wire.send(who_has(own_mac, own_address, address))


if __name__ == "__main__":
    main(*sys.argv[1:])
