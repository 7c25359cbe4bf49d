"""Kernel IPVS beside our director: the same packets for both, and what differs.

scenario.py   what is played, line by line        talk.py      the packets that a line stands for
generate.py   scenarios by chance                 play.py      a scenario on a director, step by step
wire.py       kernel IPVS between two cables      compare.py   the answers of two, side by side
ours.py       our core and its Scapy engine       scenarios/   those that were written by hand
"""
