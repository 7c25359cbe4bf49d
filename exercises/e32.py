"""VS-TUN in IPv6: small requests work, a large upload hangs, because "packet too big" is filtered."""

from __future__ import annotations

from classroom.checks.packet_properties import path_mtu_learnt, uploads_arrive
from classroom.checks.service import all_served, fair_shares
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("tun",),
    family=6,
    checks=(all_served, fair_shares, uploads_arrive, path_mtu_learnt),
)

# ---- Faults ----
# A firewall that drops ICMPv6 except ping, and packet too big with it; neighbour discovery works.

_NO_PING = "icmpv6 type != { echo-request, echo-reply }"
_NO_PING_HERE = (
    "icmpv6 type != { echo-request, echo-reply, nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }"
)

_FILTER = """
# The firewall: {why}.
nft add table ip6 firewall
nft flush table ip6 firewall
nft 'add chain ip6 firewall guard {{ type filter hook {hook} priority 0; policy accept; }}'
nft 'add rule ip6 firewall guard {match} drop'"""


def _filter(host: str, script: str, hook: str, match: str, why: str) -> Fault:
    put = _FILTER.format(hook=hook, match=match, why=why)
    return Fault((Edit(host, script, put=put),))


FAULTS = (
    _filter("r0", "router.sh", "forward", _NO_PING, "of ICMP, only ping is needed"),
    _filter("c1", "client.sh", "input", _NO_PING_HERE, "of ICMP, only ping and neighbours are needed"),
)

# ---- Solutions ----
# Let this message pass.

_HOSTS = ("r0", "c1")  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="packet_too_big_filtered",
        host=host,
        evidence=("packet_filter", "capture"),
        fails=("uploads_arrive", "path_mtu_learnt"),
        repairs=(Repair(host, ("nft insert rule ip6 firewall guard icmpv6 type packet-too-big accept",)),),
    )
    for host in _HOSTS
)
