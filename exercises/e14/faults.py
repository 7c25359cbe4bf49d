"""Two services, each persistent for itself: by their ports, or by two marks. BASE has one for both ports."""

from __future__ import annotations

from classroom.exercise import Edit, Fault

_HEAD = """\
#!/bin/sh
# d: the rules of the shop: its pages on port 80, and where people pay, port 8080.
# It may be run twice. The director's process must be running.
set -e
case {method} in tun) way=-i ;; *) way=-g ;; esac

# Start with an empty table, and no marks.
ipvsadm -C
fwmark -F
"""
_WHOLE = f"""{_HEAD}
# Packets to either port carry mark 1, and one persistent service has all that carry it.
fwmark -A -p tcp -d {{vip}} --dport 80 --set-mark 1
fwmark -A -p tcp -d {{vip}} --dport 8080 --set-mark 1
ipvsadm -A -f 1 -s rr -p 300
for server in {{rs1}} {{rs2}} {{rs3}}; do
    ipvsadm -a -f 1 -r $server $way
done"""
_PORTS = f"""{_HEAD}
# A customer stays with his server for 300 s, on both ports.
for port in 80 8080; do
    ipvsadm -A -t {{vip}}:$port -s rr -p 300
    for server in {{rs1}} {{rs2}} {{rs3}}; do
        ipvsadm -a -t {{vip}}:$port -r $server $way
    done
done"""
_MARKS = f"""{_HEAD}
# Packets are marked by their port; a customer stays with his server for 300 s.
fwmark -A -p tcp -d {{vip}} --dport 80 --set-mark 1
fwmark -A -p tcp -d {{vip}} --dport 8080 --set-mark 2
for mark in 1 2; do
    ipvsadm -A -f $mark -s rr -p 300
    for server in {{rs1}} {{rs2}} {{rs3}}; do
        ipvsadm -a -f $mark -r $server $way
    done
done"""


def _rules(text: str) -> tuple[Edit, ...]:
    return (Edit("d", "rules.sh", put=text, whole=True),)


BASE = _rules(_WHOLE)
FAULTS = (Fault(_rules(_PORTS)), Fault(_rules(_MARKS)))
