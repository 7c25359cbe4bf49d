"""VS-TUN: small requests work, a large upload hangs."""

from __future__ import annotations

from classroom.checks.packet_properties import path_mtu_learnt, uploads_arrive
from classroom.checks.service import all_served, fair_shares
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("tun",),
    checks=(all_served, fair_shares, uploads_arrive, path_mtu_learnt),
)

# ---- Faults ----
# A packet filter drops ICMP that path MTU discovery needs.

_UNREACHABLE = "icmp type destination-unreachable"
_NO_PING = "icmp type != { echo-request, echo-reply }"

_FILTER = """
# The firewall: {why}.
nft add table ip firewall
nft flush table ip firewall
nft 'add chain ip firewall guard {{ type filter hook {hook} priority 0; policy accept; }}'
nft 'add rule ip firewall guard {match} drop'"""


def _filter(host: str, script: str, hook: str, match: str, why: str) -> Fault:
    put = _FILTER.format(hook=hook, match=match, why=why)
    return Fault((Edit(host, script, put=put),))


FAULTS = (
    _filter("r0", "router.sh", "forward", _UNREACHABLE, "port scanners get no answers"),
    _filter("c1", "client.sh", "input", _UNREACHABLE, "no one outside may end our connections"),
    _filter("r0", "router.sh", "forward", _NO_PING, "of ICMP, only ping is needed"),
    _filter("c1", "client.sh", "input", _NO_PING, "of ICMP, only ping is needed"),
)

# ---- Solutions ----
# Remove the filter, or let this ICMP pass.

_HOSTS = ("r0", "c1", "r0", "c1")  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="icmp_filtered",
        host=host,
        evidence=("packet_filter", "capture"),
        fails=("uploads_arrive", "path_mtu_learnt"),
        repairs=(Repair(host, ("nft delete table ip firewall",)),),
    )
    for host in _HOSTS
)
