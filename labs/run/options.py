"""What a person may ask of a lab, checked before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from director import engines
from director.core import schedulers
from labs.errors import BadRequest
from labs.network.addresses import PUBLISHED, Addressing

MOST_SERVERS = 200
MOST_DELAY = 2000  # milliseconds
MOST_LOSS = 20  # percent; a lab's checks end in time with that


@dataclass(frozen=True, slots=True)
class LabOptions:
    """The options of lab-nat, lab-tun and lab-dr; raises BadRequest where one makes no sense."""

    servers: int = 3
    engine: str = "scapy"
    scheduler: str = "wrr"
    large: bool = False
    cli: bool = False
    dialect: str = "1999"
    controller: str = "auto"
    delay: float = 0  # milliseconds, in each direction of the clients' cables
    loss: float = 0  # percent of the packets in each direction
    addresses: Addressing = PUBLISHED

    def __post_init__(self) -> None:
        if not 1 <= self.servers <= MOST_SERVERS:
            raise BadRequest(f"--servers {self.servers}: a lab has 1 to {MOST_SERVERS} real servers.")
        _one_of("--engine", self.engine, engines.names())
        _one_of("--scheduler", self.scheduler, schedulers.names())
        _one_of("--dialect", self.dialect, ("1999", "iproute2"))
        _one_of("--controller", self.controller, ("auto", "ryu", "os-ken"))
        _within("--delay", self.delay, MOST_DELAY, "milliseconds")
        _within("--loss", self.loss, MOST_LOSS, "percent")

    @property
    def impaired(self) -> bool:
        """Whether the clients are far away."""
        return bool(self.delay or self.loss)


def _within(option: str, value: float, most: int, unit: str) -> None:
    if not 0 <= value <= most:  # also what is not a number
        raise BadRequest(f"{option} {value:g}: expected 0 to {most} {unit}.")


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadRequest(f"{option} {value!r} is unknown: choose from {', '.join(known)}.")
