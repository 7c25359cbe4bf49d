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
                "see to it that {host}-eth0 neither answers ARP for the VIP nor asks in its name.",
                "then give this host the VIP, on an alias of the loopback device, lo:0.",
                "a route that says: the host VIP is on that alias.",
            ),
        )
    ),
)
