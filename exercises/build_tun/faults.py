"""Nothing is done yet."""

from __future__ import annotations

from classroom.exercise import Fault
from classroom.guided import blank

FAULTS = (
    Fault(
        (
            *blank.DIRECTOR,
            blank.rules_for_replicas(),
            blank.server(
                "give {host}-eth0 its address, {{host}}.",
                "the way of the replies: this host's default gateway.",
                "let packets in that come out of tunl0 and whose senders are reached by {host}-eth0.",
                "give this host the VIP, on tunl0; before that, see to it that {host}-eth0 does not speak",
                "    for the VIP.",
                "a route that says: the host VIP is on tunl0.",
            ),
        )
    ),
)
