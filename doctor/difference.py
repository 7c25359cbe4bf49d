"""A difference between a host and what a path needs of it, and the packet that takes the path."""

from __future__ import annotations

from dataclasses import dataclass

from director.formats.ipvsadm_words import endpoint
from doctor.nftables import Packet
from doctor.queries import outer_packet, reply_packet, request_packet


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference in a host's `what` (link, route, filter, socket, rule ...) from what a path needs.

    `look` is a command to examine it on that host; `paths` are the paths that end here, such as `c1 to rs1`.
    """

    host: str
    what: str
    expected: str
    observed: str
    look: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathPacket:
    """A TCP packet, or an IPIP one around it; a reply's `port` is its source port."""

    source: str
    dest: str
    port: int
    is_reply: bool = False
    protocol: str = "tcp"

    @property
    def facts(self) -> Packet:
        """The packet as packet filters see it."""
        if self.protocol != "tcp":
            return outer_packet(self.source, self.dest)
        make = reply_packet if self.is_reply else request_packet
        return make(self.source, self.dest, self.port)

    def __str__(self) -> str:
        if self.protocol != "tcp":
            return f"IPIP packets for {self.dest}"
        if self.is_reply:
            return f"replies to {self.dest}"
        return f"requests for {endpoint(self.dest, self.port)}"
