"""ARP questions come in on the LAN's interface, so that is the one that must not answer."""

from __future__ import annotations

from classroom.exercise import SERVERS, Repair, Solution

_REPAIRS = (  # both mend both
    "sysctl -w net.ipv4.conf.all.arp_ignore=1",
    "for setting in /proc/sys/net/ipv4/conf/rs*-eth0/arp_ignore; do echo 1 > $setting; done",
)

SOLUTIONS = tuple(
    Solution(
        cause="arp_ignore_on_lo",
        host=SERVERS,
        evidence=("settings",),
        fails=("director_gets_all", "fair_whatever_learnt"),
        repairs=(Repair(SERVERS, (repair,)), Repair("r0", ("ip neigh flush to {vip}",))),
    )
    for repair in _REPAIRS
)
