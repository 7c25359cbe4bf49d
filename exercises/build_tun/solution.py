"""All three roles, as the lab's own scripts have them."""

from __future__ import annotations

from classroom.exercise import Repair, Solution

_SERVERS = {"rs1": "192.0.2.1", "rs2": "192.0.2.33", "rs3": "192.0.2.65"}  # with their sites' routers
_DIRECTOR = (
    "ifconfig d-eth0:0 {vip} netmask 255.255.255.255 broadcast {vip} up",
    "route add -host {vip} dev d-eth0:0",
    *(f"ippfvsadm -A -t {{vip}}:{port} -R {{{name}}}:{port}" for port in (80, 21) for name in _SERVERS),
)


def _server(name: str) -> Repair:
    settings = {f"{name}-eth0/arp_ignore": 1, f"{name}-eth0/arp_announce": 2}
    settings |= {"all/rp_filter": 0, "tunl0/rp_filter": 0}
    return Repair(
        name,
        (
            f"ifconfig {name}-eth0 {{{name}}} netmask 255.255.255.224 up",
            f"route add default gw {_SERVERS[name]}",
            *(f"echo {value} > /proc/sys/net/ipv4/conf/{path}" for path, value in settings.items()),
            "ifconfig tunl0 {vip} netmask 255.255.255.255 broadcast {vip} up",
            "route add -host {vip} dev tunl0",
        ),
    )


SOLUTIONS = (
    Solution(
        fails=(
            *("one_answer", "all_served", "fair_shares", "reply_path"),
            *("ftp_login", "ftp_passive", "ftp_active"),
        ),
        repairs=(Repair("d", _DIRECTOR), *map(_server, _SERVERS)),
    ),
)
