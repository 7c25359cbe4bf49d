"""The labs: networks built with Mininet, traffic in them, and checks of that traffic.

vs_nat, vs_tun, vs_dr   the three methods: plan, packet table, lesson
network                 namespaces, Open vSwitch, topology, addresses
controller              the OpenFlow controller of the switches
hosts                   the programs on clients and real servers
run                     from the request to the report: build, check, record
checks                  the checks of a lab, one file per subject
machine                 the capabilities and the load of this machine
terminal                command line, progress, results, errors
plan, methods           what distinguishes one lab from another
errors, wait            used by all of them
"""
