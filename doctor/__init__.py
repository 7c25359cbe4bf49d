"""./inv doctor: what is wrong with the running lab, or what this machine can and cannot do.

command         which lab, or the machine
machine         the machine's probes and their table
collect_lab     reads a running lab: collect_host runs on every host, parse_host reads its output
trials          what clients get, and each real server by itself; sightings is where their packets pass
state/          what was read, as values that go through JSON and back
routing         the next hops of each host, as they are and by the plan
nftables        what a packet filter does with one packet
causes/         a file for each root cause, found in a state; queries has what several of them ask
path            follows packets hop by hop, and finds where that differs from the lab's plan: path_hops from
                host to host, path_ends at director and real server, host_checks on every host
cause_table     prints causes and differences
"""
