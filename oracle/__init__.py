"""Kernel IPVS and our director on the same packets, and where they differ.

scenario.py     a scenario: rules, settings, packets, line by line; scenarios/ has the hand-written ones
generate.py     random scenarios
play.py         runs a scenario on a director, step by step
talk.py         the ends of a scenario's connections; packets.py makes their packets
site.py         the addresses; wire.py the two cables
kernel.py       kernel IPVS on those cables
live.py         our director on those cables, as a process
in_process.py   our director in this process, on fakes
player.py       runs scenarios for another process; on_the_wire.py is that process's side of it
compare.py      differences between two directors' answers
recordings.py   the kernel's answers, in recorded/; fingerprint.py shows when they are out of date
odd_packets.py  packets that a scenario can't express, and what the kernel did with them
ipv6_*.py       the same for IPv6, which scenarios do not have
twos.py         the probability of each server with the scheduler twos, which is random
replay.py       one scenario on both directors, printed
"""
