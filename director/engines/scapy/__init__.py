"""The engine for reading and teaching: every packet is rewritten and sent here, with Scapy.

wire.py        one interface: frames in, frames out
sieve.py       which frames the kernel lets through to it
gate.py        which SYNs of a flood get a turn
offload.py     what was left to a network card, and has to be done here
headers.py     Scapy's descriptions of headers, compiled
datagram.py    the headers of an IP packet, and how it is put together again
parse.py       from them, the packet that the core understands
nat.py tun.py dr.py    one forwarding method each
checksum.py    how a checksum follows a change
routes.py      which interface and next hop lead to an address
neighbours.py  which MAC address a next hop has
answers.py     what the director says itself, by ICMP
limits.py      and how often
fragments.py   a packet made of its fragments, and fragments made of a packet
options.py     the director's turn in the options of a packet that goes on
kernel.py      keeps the director's own kernel from answering for the VIP
engine.py      puts them together
"""

from director.engines.scapy.engine import ScapyEngine as Engine

__all__ = ["Engine"]
