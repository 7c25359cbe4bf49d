"""One service for both ports: of a mark, or of every port of the VIP."""

from __future__ import annotations

from classroom.exercise import Repair, Solution

_WAY = "case {method} in tun) way=-i ;; *) way=-g ;; esac"
_BY_MARK = (
    "ipvsadm -C",
    "for port in 80 8080; do fwmark -A -p tcp -d {vip} --dport $port --set-mark 1; done",
    "ipvsadm -A -f 1 -s rr -p 300",
    f"{_WAY}; for rip in {{rs1}} {{rs2}} {{rs3}}; do ipvsadm -a -f 1 -r $rip $way; done",
)
_BY_PORT_ZERO = (
    "ipvsadm -C",
    "fwmark -F",
    "ipvsadm -A -t {vip}:0 -s rr -p 300",
    f"{_WAY}; for rip in {{rs1}} {{rs2}} {{rs3}}; do ipvsadm -a -t {{vip}}:0 -r $rip $way; done",
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
