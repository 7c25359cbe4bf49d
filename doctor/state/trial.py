"""A connection that the doctor tried, how it ended, and where its packets passed."""

from __future__ import annotations

from dataclasses import dataclass

from director.formats.ipvsadm_words import endpoint

# Outcomes of a trial. RESET: also closed without an answer. FAILED: the answer is an error, such as 404.
# WRONG_SERVER: a server other than the addressed one, or none of this lab, answered.
SERVED, REFUSED, RESET, TIMED_OUT, UNREACHABLE, FAILED, WRONG_SERVER = (
    "served",
    "refused",
    "reset",
    "timed out",
    "unreachable",
    "answered with an error",
    "wrong server",
)
IN, OUT, OTHERS = "in", "out", "for another MAC"  # the direction in which a frame passed an interface
NOTHING = "nothing"  # instead of a packet: no packet of the trial has left its host


@dataclass(frozen=True, slots=True)
class Sighting:
    """A packet of a trial as it passed an interface; `way` is its direction: IN, OUT or OTHERS.

    `what` is SYN, SYN+ACK, RST, FIN, data, long data, ACK, an ICMP error, an ARP request or reply (in IPv6,
    a neighbour solicitation or advertisement), a
    lost ACK, or NOTHING. `tunnel` is the outer destination address, if it is encapsulated.
    """

    host: str
    interface: str
    way: str
    what: str
    source: str
    dest: str
    tunnel: str = ""

    def __str__(self) -> str:
        inside = f" inside a packet to {self.tunnel}" if self.tunnel else ""
        return f"{self.what} {self.source} > {self.dest}{inside} {self.way} on {self.interface}"


@dataclass(frozen=True, slots=True)
class Trial:
    """A TCP connection that the doctor tried from `host`, from `source_port`, and how it ended.

    `server` is the name of the server that answered; `wanted` is the real server that a direct trial
    addressed, empty for a client's trial of the VIP. `connected`: the handshake succeeded. `seen` is where
    its packets passed, in order; it is recorded only if trials fail. `resent`: it was served, but only after
    a retransmission; `seen` is then how far the lost packet came. `usual`: like a client's own connection,
    from a port that the kernel chose. `long`: its request and its answer fill packets.
    """

    host: str
    address: str
    port: int
    outcome: str
    server: str = ""
    wanted: str = ""
    source_port: int = 0
    connected: bool = False
    detail: str = ""
    seen: tuple[Sighting, ...] = ()
    resent: bool = False
    usual: bool = False
    long: bool = False

    @property
    def served(self) -> bool:
        return self.outcome == SERVED

    def __str__(self) -> str:
        by = f" by {self.server}" if self.server else ""
        return f"{self.host} to {endpoint(self.address, self.port)}: {self.outcome}{by}"
