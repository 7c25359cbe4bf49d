"""The engine for running: a BPF program forwards in the kernel, and asks the core what it can't decide.

program/       the program, in C: what becomes of a packet; its tables are in tables.h
compiler.py    makes an object file of it, once
libbpf.py      loads that, reads and writes its tables
shapes.py      what is in those tables
program.py     the program in the kernel, and the tables of one that was left behind
settings.py    the numbers that it goes by
rules.py       services and real servers, written into its tables, counted from them
table.py       the connection table, which the core shares with it
network.py     routes and neighbours, as the kernel has them
up.py          the way of packets to the core
trace.py       what it tells of connections
saved.py       the rules as text, for the next director
engine.py      puts them together
"""

from director.engines.ebpf.engine import EbpfEngine as Engine

__all__ = ["Engine"]
