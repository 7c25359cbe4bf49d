"""All three roles, as the lab's own scripts have them."""

from __future__ import annotations

from classroom.exercise import Repair, Solution

_SERVERS = ("rs1", "rs2", "rs3")
_ROUTER = "203.0.113.254"
_DIRECTOR = (
    "ifconfig d-eth0:0 {vip} netmask 255.255.255.255 broadcast {vip} up",
    "route add -host {vip} dev d-eth0:0",
    *(f"ippfvsadm -A -t {{vip}}:{port} -R {{{name}}}:{port}" for port in (80, 21) for name in _SERVERS),
)


def _server(name: str) -> Repair:
    settings = {"arp_ignore": 1, "arp_announce": 2}
    folder = f"/proc/sys/net/ipv4/conf/{name}-eth0"
    return Repair(
        name,
        (
            f"ifconfig {name}-eth0 {{{name}}} netmask 255.255.255.0 broadcast 203.0.113.255 up",
            f"route add default gw {_ROUTER}",
            *(f"echo {value} > {folder}/{setting}" for setting, value in settings.items()),
            "ifconfig lo:0 {vip} netmask 255.255.255.255 broadcast {vip} up",
            "route add -host {vip} dev lo:0",
        ),
    )


SOLUTIONS = (
    Solution(
        fails=(
            *("one_answer", "director_gets_all_later", "fair_later", "reply_path"),
            *("ftp_login", "ftp_passive", "ftp_active"),
        ),
        repairs=(Repair("d", _DIRECTOR), *map(_server, _SERVERS)),
    ),
)
