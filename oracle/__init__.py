"""Kernel IPVS beside our director: the same packets for both, and what differs.

scenario.py   what is played, line by line           talk.py        the packets that a line stands for
generate.py   scenarios by chance                    scenarios/     those that were written by hand
play.py       a scenario on a director, step by step
kernel.py     kernel IPVS, and live.py a director of ours, between the two cables of wire.py
in_process.py  our core and its Scapy engine in this process
on_the_wire.py, player.py    how somebody outside of their networks asks the first two
compare.py    the answers of two, side by side       replay.py      one scenario on both, for people
recordings.py what the kernel has answered, in recorded/
"""
