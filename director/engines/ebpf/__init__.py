"""The engine for running: a BPF program forwards in the kernel, and asks the core what it can't decide.

program/       the program, in C: what becomes of a packet; its maps are in maps.h
prerequisites.py  whether this machine can have it, and if not, why
compiler.py    makes an object file of it, once
libbpf/        loads that, reads and writes its tables
layouts.py     what is in those tables
program.py     the program in the kernel, and the tables of one that was left behind
settings.py    the numbers that it goes by
rules.py       services, written into its tables, and whose turn it is, read from them
servers.py     real servers, which have numbers there, and what is counted of them
table.py       the connection table, which the core shares with it
changes.py     what the core changes in that table, without undoing what the program does
templates.py   persistent clients
sweeper.py     when the program ends what is over
sessions.py    what the core has read in ftp's control connections, for the next director
checkpoint.py  the rules as text, for the next director
network.py     routes and neighbours, as the kernel has them
upcall.py      the way of packets to the core
trace.py       what the program tells of connections
clock.py       the kernel's time and the core's
engine.py      puts them together
"""

from director.engines.ebpf.engine import EbpfEngine as Engine

__all__ = ["Engine"]
