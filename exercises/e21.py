"""All three methods: a machine was replaced, and packets still go to the old one."""

from __future__ import annotations

from classroom.checks.neighbours import neighbours_learnt
from classroom.checks.service import all_served, fair_shares
from classroom.model import SERVER, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    checks=(all_served, fair_shares, neighbours_learnt),
)

# ---- Faults ----
# A neighbour entry was made by hand: the router's for the VIP, or a real server's for its gateway.

_OLD = "02:00:cb:00:71:c8"  # of no host in any lab


def _entry(on: str, script: str, address: str, mac: str, why: str, *methods: str) -> Fault:
    put = f"\n# {why}: no other host may claim this address.\narp -s {address} {mac}"
    return Fault((Edit(on, script, put=put),), methods)


FAULTS = (
    _entry("r0", "router.sh", "{vip}", _OLD, "The director of {vip}", "nat", "tun", "dr"),
    _entry("r0", "router.sh", "{vip}", "{server_mac}", "The director of {vip}", "dr"),
    _entry(SERVER, "realserver.sh", "{inside}", _OLD, "The gateway", "nat"),
    _entry(SERVER, "realserver.sh", "203.0.113.254", _OLD, "The gateway", "dr"),
)

# ---- Solutions ----
# Delete the entry; the host resolves the address again.

_SOME, _SHARES = ("all_served", "fair_shares", "neighbours_learnt"), ("fair_shares", "neighbours_learnt")
_ENTRIES = (
    ("r0", "{vip}", _SOME),
    ("r0", "{vip}", _SHARES),
    (SERVER, "{inside}", _SOME),
    (SERVER, "203.0.113.254", _SOME),
)  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="wrong_neighbour",
        host=host,
        evidence=("neighbours", "capture"),
        fails=fails,
        repairs=(Repair(host, (f"arp -d {address}",)),),
    )
    for host, address, fails in _ENTRIES
)
