"""The engine for reading and teaching: every packet is rewritten and sent in this process, with Scapy.

In the order in which a packet meets them:

packet_sockets.py  an interface: frames in, frames out
socket_filter.py   which frames the kernel hands over
flood_gate.py      which packets of a flood get in
offload.py         checksums and segmentation that were left to a network card
engine.py          the path of a packet: receive, decide, forward, transmit
datagram.py        the headers of an IP packet, and the core's view of it
headers.py         Scapy's layers, and compiled versions of its headers
rewrite.py         where a packet is rewritten: VS-NAT, VS-TUN, VS-DR
checksums.py       Internet checksums
ipv4.py, ipv6.py   fragments, IP options, extension headers
next_hops.py       the next hop by the kernel's routes, its MAC address by ARP or neighbour_discovery.py
icmp_replies.py    what the director itself sends
host_kernel.py     keeps the director's own kernel from answering for the VIP

host.py            the engine's surroundings: wires, routes, kernel
fake.py            the same as lists and numbers, for tests and for comparing with kernel IPVS
"""

from director.engines.scapy.engine import ScapyEngine as Engine

__all__ = ["Engine"]
