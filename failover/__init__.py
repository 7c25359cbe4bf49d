"""Measures what the death of a director costs: `./inv failover`.

command.py         ./inv failover; options.py: its options
pair.py            the network: a client, two directors, three real servers
blackout.py        how long clients get no answer, by technique; prober.py sends a request each millisecond
survival.py        which connections outlive their director; callers.py keeps them open
failback.py        which survive when it comes back and takes the VIP again
sync_cost.py       what connection synchronisation costs
echo.py            the real servers' program
measured.py        results: journal, JSON, CSV, tables; charts.py: pictures
"""
