"""VS-DR: the packet goes on unchanged, in a frame for the real server's MAC address.

    client > VIP:80, to the director's MAC   becomes   client > VIP:80, to the real server's MAC

The real server has the VIP itself, on a device that does not answer ARP, and replies to the
client directly. Source: paper, section 4, VS-DR.
"""

from __future__ import annotations

from director.core.decision import Forward
from director.engines.scapy.datagram import Datagram


def rewrite(datagram: Datagram, _forward: Forward, _own_address: str) -> bytes:
    """Count the hop, as every router does; the MAC address comes where the frame is made."""
    datagram.ip.ttl -= 1
    return bytes(datagram)
