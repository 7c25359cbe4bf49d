"""All three roles, as the lab's own scripts have them."""

from __future__ import annotations

from classroom.exercise import Repair, Solution

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
