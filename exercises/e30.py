"""VS-DR in IPv6: real servers have the VIP on their cards, undetected as a duplicate, and answer for it."""

from __future__ import annotations

from classroom.checks.arp import ask_without_director, own_addresses_answered
from classroom.checks.request_path import director_gets_all, fair_for_every_answer
from classroom.checks.service import all_served
from classroom.model import SERVER, SERVERS, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("dr",),
    family=6,
    checks=(all_served, director_gets_all, fair_for_every_answer, own_addresses_answered),
    prepare=ask_without_director,
)

# ---- Faults ----
# The VIP is on the cards of all real servers, or also on that of one.

_LINE = "ifconfig lo add {vip}/128"
_WORD = "# With this word, the warning no longer appears.\n"

_NODAD = "ip addr replace {vip}/128 dev {card} nodad"
FAULTS = tuple(
    Fault((Edit(on, "realserver.sh", _LINE, put + _NODAD.replace("{card}", card)),))
    for on, put, card in ((SERVERS, _WORD, "{host}-eth0"), (SERVER, "{line}\n", "{interface}"))
)

# ---- Solutions ----
# The VIP on lo only, and the router asks again.

_ON_LO = "ip addr replace {vip}/128 dev lo"
_FOUND = ("addresses", "arp_replies", "capture", "neighbours")
_FAILS = ("director_gets_all", "fair_for_every_answer")
_ASK = Repair("r0", ("ip neigh flush to {vip}",))
SOLUTIONS = tuple(
    Solution(
        cause="arp_answered",
        host=host,
        evidence=_FOUND,
        fails=_FAILS,
        repairs=(Repair(host, (f"ip addr del {{vip}}/128 dev {card}", _ON_LO)), _ASK),
    )
    for host, card in ((SERVERS, "$(ip -o link | grep -o 'rs[0-9]*-eth0')"), (SERVER, "{interface}"))
)
