"""VS-DR, from hosts without addresses to a virtual server whose hosts share one address."""

from __future__ import annotations

from classroom import blank_scripts
from classroom.checks.arp import one_answer
from classroom.checks.ftp import ftp_active, ftp_login, ftp_passive, reply_path
from classroom.checks.request_path import director_gets_all_after_flush, fair_after_flush
from classroom.model import Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("dr",),
    checks=(
        one_answer,
        director_gets_all_after_flush,
        fair_after_flush,
        reply_path,
        ftp_login,
        ftp_passive,
        ftp_active,
    ),
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
                "keep {host}-eth0 from answering ARP for the VIP, and from asking with it as sender.",
                "then give this host the VIP, on an alias of the loopback device, lo:0.",
                "a host route to the VIP on that alias.",
            ),
        )
    ),
)

# ---- Solutions ----
# All three roles, as in the lab's own scripts.

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
            *("one_answer", "director_gets_all_after_flush", "fair_after_flush", "reply_path"),
            *("ftp_login", "ftp_passive", "ftp_active"),
        ),
        repairs=(Repair("d", _DIRECTOR), *map(_server, _SERVERS)),
    ),
)
