"""./inv doctor: what is wrong with the running lab, or what this machine can and cannot do.

command         selects the lab, or the machine
machine         the probes of the machine, and their table
collect_lab     reads a running lab: collect_host runs on every host, parse_host reads its output
trials          connections of clients to the VIP, and to each real server directly; sightings: where their
                packets pass
state/          the collected state, as values that can be stored as JSON
routing         the next hops of each host: actual and planned
nftables        what a packet filter does with one packet
causes/         a file for each root cause, found in a state; queries: questions that several of them ask
path            follows packets hop by hop, and finds the first difference from the lab's plan: path_hops
                between hosts, path_ends at director and real server, host_checks on every host
cause_table     prints causes and differences
"""
