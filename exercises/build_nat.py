"""VS-NAT, from hosts without addresses to a virtual server: the example it was published with."""

from __future__ import annotations

from classroom import blank_scripts
from classroom.checks.arp import one_answer
from classroom.checks.ftp import ftp_active, ftp_login, ftp_passive, reply_path
from classroom.checks.service import all_served, fair_shares
from classroom.model import Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("nat",),
    checks=(one_answer, all_served, fair_shares, reply_path, ftp_login, ftp_passive, ftp_active),
    servers=(3,),
    schedulers=("wrr",),
    diagnosis=False,
)

# ---- Faults ----
# Nothing is set up yet.

FAULTS = (
    Fault(
        (
            *blank_scripts.DIRECTOR,
            blank_scripts.rules(
                "http: connections to port 80 of the VIP go to rs1, rs2 and rs3, twice as many to rs2;",
                "    rs1 and rs3 listen on port 80, rs2 on port 8000.",
                "ftp: connections to port 21 of the VIP go to rs2, which listens on port 21.",
            ),
            blank_scripts.server(
                "give {host}-eth0 its address, {{host}}.",
                "the route of the replies: this host's default gateway.",
            ),
        )
    ),
)

# ---- Solutions ----
# All three roles, as in the lab's own scripts.

_DIRECTOR = (  # written into the script, which is then run again
    "echo 'ifconfig d-eth0:0 {vip} netmask 255.255.255.255 broadcast {vip} up' >> 1999/director.sh",
    "echo 'route add -host {vip} dev d-eth0:0' >> 1999/director.sh",
    "sh 1999/director.sh",
    "ippfvsadm -A -t {vip}:80 -R {rs1}:80",
    "ippfvsadm -A -t {vip}:80 -R {rs2}:8000 -w 2",
    "ippfvsadm -A -t {vip}:80 -R {rs3}:80",
    "ippfvsadm -A -t {vip}:21 -R {rs2}:21",
)


def _server(name: str) -> Repair:
    address = f"ifconfig {name}-eth0 {{{name}}} netmask 255.255.255.0 broadcast 172.16.0.255 up"
    return Repair(name, (address, "route add default gw {inside}"))


SOLUTIONS = (
    Solution(
        fails=(
            *("one_answer", "all_served", "fair_shares", "reply_path"),
            *("ftp_login", "ftp_passive", "ftp_active"),
        ),
        repairs=(Repair("d", _DIRECTOR), *map(_server, ("rs1", "rs2", "rs3"))),
    ),
)
