"""What the data planes cost, side by side: in one run, on one machine, in turns.

testbed.py       a client, a director and a server, in network namespaces of their own
contenders/        what can stand between client and server: one file each
measures/     what is measured: one file each
growth.py     how cost grows with connections, servers and services
results.py    all figures of a run: medians, ratios, JSON, CSV
table.py      as a table; plots.py: as pictures
machine.py    what they were measured on
command.py    the order of it all
"""
