"""The labs: networks built with Mininet, the traffic in them, and what it proves.

vs_nat, vs_tun, vs_dr   the three methods: plan, packet table, lesson
network                 namespaces, Open vSwitch, topology, addresses
controller              the OpenFlow controller of the switches
hosts                   what runs on clients and real servers
run                     from the request to the report: build, check, record
checks                  what a lab proves
machine                 what this machine can do, and how fast it is
terminal                what people type and see
plan, methods           what makes one lab different from the others
errors, wait            used by all of them
"""
