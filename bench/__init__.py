"""What the data planes cost, side by side: in one run, on one machine, in turns.

command.py       ./inv bench; options.py: its options
testbed.py       a client, a director and a server, in network namespaces of their own
contenders/      the systems compared, each between client and server; a file adds contenders
measures/        what is measured; a file adds measures
rounds.py        the order of a run side by side; figures.py: its figures, as JSON and CSV
growth.py        cost per packet against connections, servers and services; growth_run.py, growth_results.py
many_clients.py  the clients of growth.py
tables.py        results as tables; plots.py: as pictures; measured_on.py: the machine
"""
