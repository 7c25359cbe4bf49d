"""The engine for running: a BPF program forwards in the kernel, and asks the core what it cannot decide.

program/          the program, in C: lvs.c is the path of a packet, maps.h the maps
prerequisites.py  whether this machine can run it, and if not, why
compiler.py       compiles it to an object file, once
libbpf/           loads that, attaches it, reads and writes maps
layouts.py        the structs in the maps, as bytes; the program's settings and totals
program.py        the program: loading, attaching, adopting an earlier director's maps, running its parts
by_family.py      IPv4's program and IPv6's, and their maps, as one
services.py       virtual services: written into the maps; scheduler positions: read from them
servers.py        real servers: their numbers in the maps, their counters
table.py          the connection table, which the core shares with the program
templates.py      persistence templates, likewise
network.py        routes and neighbours, copied from the kernel's tables
upcall.py         packets for the core, and events
checkpoint.py     rules and ftp sessions, kept for the next director
engine.py         puts them together
"""

from director.engines.ebpf.engine import EbpfEngine as Engine

__all__ = ["Engine"]
