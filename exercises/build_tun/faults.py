"""Nothing is done yet."""

from __future__ import annotations

from classroom.exercise import Fault
from classroom.guided import blank

FAULTS = (
    Fault(
        (
            *blank.DIRECTOR,
            blank.rules(
                "http: connections to port 80 of the VIP go to rs1, rs2 and rs3.",
                "ftp: connections to port 21 of the VIP go to rs1, rs2 and rs3.",
            ),
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
