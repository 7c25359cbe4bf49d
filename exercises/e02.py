"""VS-DR, set up by the book: one real server has all the work, and the director none."""

from __future__ import annotations

from classroom.checks.arp import ask_without_director, own_addresses_answered
from classroom.checks.request_path import director_gets_all, fair_for_every_answer
from classroom.checks.service import all_served
from classroom.model import SERVERS, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("dr",),
    checks=(all_served, director_gets_all, fair_for_every_answer, own_addresses_answered),
    prepare=ask_without_director,
)

# ---- Faults ----
# arp_ignore is set where it has no effect: on lo, or for interfaces created later.

_SETTING = "/arp_ignore"


def _on(interface: str) -> Fault:
    put = f"echo 1 > /proc/sys/net/ipv4/conf/{interface}/arp_ignore"
    return Fault((Edit(SERVERS, "realserver.sh", _SETTING, put),))


FAULTS = (_on("lo"), _on("default"))

# ---- Solutions ----
# ARP requests arrive on the LAN interface, so that one must not answer.

_REPAIRS = (  # each of them repairs either fault
    "sysctl -w net.ipv4.conf.all.arp_ignore=1",
    "for setting in /proc/sys/net/ipv4/conf/rs*-eth0/arp_ignore; do echo 1 > $setting; done",
)

SOLUTIONS = tuple(
    Solution(
        cause="arp_ignore_on_lo",
        host=SERVERS,
        evidence=("settings",),
        fails=("director_gets_all", "fair_for_every_answer"),
        repairs=(Repair(SERVERS, (repair,)), Repair("r0", ("ip neigh flush to {vip}",))),
    )
    for repair in _REPAIRS
)
