"""VS-TUN, from hosts without addresses to a virtual server whose real servers may be anywhere."""

from __future__ import annotations

from classroom import blank_scripts
from classroom.checks.arp import one_answer
from classroom.checks.ftp import ftp_active, ftp_login, ftp_passive, reply_path
from classroom.checks.service import all_served, fair_shares
from classroom.model import Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("tun",),
    checks=(one_answer, all_served, fair_shares, reply_path, ftp_login, ftp_passive, ftp_active),
    servers=(3,),
    diagnosis=False,
)

# ---- Faults ----
# Nothing is set up yet.

FAULTS = (
    Fault(
        (
            *blank_scripts.DIRECTOR,
            blank_scripts.rules_for_replicas(),
            blank_scripts.server(
                "give {host}-eth0 its address, {{host}}.",
                "the route of the replies: this host's default gateway.",
                "accept packets that come out of tunl0 though their sources are reached through {host}-eth0.",
                "give this host the VIP, on tunl0; before that, keep {host}-eth0 from announcing it.",
                "a host route to the VIP on tunl0.",
            ),
        )
    ),
)

# ---- Solutions ----
# All three roles, as in the lab's own scripts.

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
