"""One measured point: so many real servers by one method, what they delivered, and what was the limit.

Rates are in bytes a second, frames with their Ethernet header; shares are 0 to 1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FULL = 0.9  # of a link or a processor: from here on it is called the limit
PROCESSOR = "the processor"


@dataclass(frozen=True, slots=True)
class Point:
    method: str  # nat, tun, dr
    servers: int
    seconds: float  # how long the figures were taken
    delivered: float  # payload that reached the clients' programs, a second
    connections: int  # asked for at once
    delivering: int  # of them, those that had received something at the end
    failed: int  # connections that failed on the way
    director_out: float  # what the switches received from the director, a second
    director_in: float
    director_packets: float  # sent by the director, a second
    director_link: float  # the busiest direction of its busiest interface, as a share of its rate
    server_links: float  # what the servers in use sent, as a share of their links' rates
    idle: float  # of all processors of the machine
    director_cpu: float  # of one processor
    troubles: tuple[str, ...] = ()  # what was broken while it was measured

    @property
    def by_machine(self) -> bool:
        """Whether it tells of the machine that carries the lab, and not of the method."""
        return self.limited_by == PROCESSOR

    @property
    def limited_by(self) -> str:
        """What was used up: the nearest to the director first, since what is behind it waits for it."""
        if self.director_link >= FULL:
            return "the director's link"
        if self.server_links >= FULL:
            return "the servers' links"
        if self.director_cpu >= FULL or self.idle <= 1 - FULL:
            return PROCESSOR
        return "nothing that is measured"

    @property
    def through_director(self) -> float:
        """Bytes that the director sent for each byte that was delivered."""
        return self.director_out / self.delivered if self.delivered else float("nan")

    @property
    def packet_cost(self) -> float | None:
        """Seconds of processor time that the director's process used for a packet."""
        return self.director_cpu / self.director_packets if self.director_packets else None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Point:
        return cls(**{**fields, "troubles": tuple(fields["troubles"])})
