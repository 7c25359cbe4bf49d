"""VS-TUN, VS-DR: a shop whose customers lose their baskets when they pay."""

from __future__ import annotations

from dataclasses import replace

from classroom.checks.arp import one_answer
from classroom.checks.customers import (
    CHECKOUT,
    add_customers,
    customers_shared,
    one_server_each,
    sessions_served,
)
from classroom.model import Edit, Exercise, Fault, Repair, Solution, Variant
from labs.plan import Plan

# ---- Faults ----
# Two services, each with its own persistence: by port, or by two marks. BASE has one for both ports.

_HEAD = """\
#!/bin/sh
# d: the shop's rules: pages on port 80, checkout on port 8080.
# It may be run twice. The director's process must be running.
set -e

# Start with an empty table, and no marks.
ipvsadm -C
fwmark -F
"""
_WHOLE = f"""{_HEAD}
# Packets to either port get mark 1, and one persistent service handles that mark.
fwmark -A -p tcp -d {{vip}} --dport 80 --set-mark 1
fwmark -A -p tcp -d {{vip}} --dport 8080 --set-mark 1
ipvsadm -A -f 1 -s rr -p 300
for server in {{rs1}} {{rs2}} {{rs3}}; do
    ipvsadm -a -f 1 -r $server {{flag}}
done"""
_PORTS = f"""{_HEAD}
# A customer stays on the same server for 300 s, on both ports.
for port in 80 8080; do
    ipvsadm -A -t {{vip}}:$port -s rr -p 300
    for server in {{rs1}} {{rs2}} {{rs3}}; do
        ipvsadm -a -t {{vip}}:$port -r $server {{flag}}
    done
done"""
_MARKS = f"""{_HEAD}
# Packets are marked by port; a customer stays on the same server for 300 s.
fwmark -A -p tcp -d {{vip}} --dport 80 --set-mark 1
fwmark -A -p tcp -d {{vip}} --dport 8080 --set-mark 2
for mark in 1 2; do
    ipvsadm -A -f $mark -s rr -p 300
    for server in {{rs1}} {{rs2}} {{rs3}}; do
        ipvsadm -a -f $mark -r $server {{flag}}
    done
done"""


def _rules(text: str) -> tuple[Edit, ...]:
    return (Edit("d", "rules.sh", put=text, whole=True),)


BASE = _rules(_WHOLE)
FAULTS = (Fault(_rules(_PORTS)), Fault(_rules(_MARKS)))

# ---- Exercise ----


def two_ports(plan: Plan, _variant: Variant) -> Plan:
    """Every real server's httpd listens on both ports."""
    servers = tuple(replace(server, more_ports=(CHECKOUT,)) for server in plan.servers)
    return replace(plan, servers=servers)


EXERCISE = Exercise(
    methods=("dr", "tun"),
    checks=(sessions_served, one_server_each, customers_shared, one_answer),
    servers=(3,),
    base=BASE,
    change=two_ports,
    prepare=add_customers,
)

# ---- Solutions ----
# One service for both ports: by a mark, or for all ports of the VIP.

_BY_MARK = (
    "ipvsadm -C",
    "for port in 80 8080; do fwmark -A -p tcp -d {vip} --dport $port --set-mark 1; done",
    "ipvsadm -A -f 1 -s rr -p 300",
    "for rip in {rs1} {rs2} {rs3}; do ipvsadm -a -f 1 -r $rip {flag}; done",
)
_BY_PORT_ZERO = (
    "ipvsadm -C",
    "fwmark -F",
    "ipvsadm -A -t {vip}:0 -s rr -p 300",
    "for rip in {rs1} {rs2} {rs3}; do ipvsadm -a -t {vip}:0 -r $rip {flag}; done",
)

SOLUTIONS = tuple(
    Solution(
        cause="ports_apart",
        host="d",
        evidence=("rules", "connections"),
        fails=("one_server_each",),
        repairs=(Repair("d", commands),),
    )
    for commands in (_BY_MARK, _BY_PORT_ZERO)
)
