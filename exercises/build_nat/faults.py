"""Nothing is done yet."""

from __future__ import annotations

from classroom.exercise import Fault
from classroom.guided import blank

FAULTS = (
    Fault(
        (
            *blank.DIRECTOR,
            blank.rules(
                "http: connections to port 80 of the VIP go to rs1, rs2 and rs3, to rs2 twice as many;",
                "    rs1 and rs3 listen on port 80, rs2 on port 8000.",
                "ftp: connections to port 21 of the VIP go to rs2, which listens on port 21.",
            ),
            blank.server(
                "give {host}-eth0 its address, {{host}}.",
                "the way of the replies: this host's default gateway.",
            ),
        )
    ),
)
