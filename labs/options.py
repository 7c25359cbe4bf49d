"""What a person may ask of a lab, checked before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from director import engines
from director.core import schedulers
from labs.errors import BadRequest

MOST_SERVERS = 200


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

    def __post_init__(self) -> None:
        if not 1 <= self.servers <= MOST_SERVERS:
            raise BadRequest(f"--servers {self.servers}: a lab has 1 to {MOST_SERVERS} real servers.")
        _one_of("--engine", self.engine, engines.names())
        _one_of("--scheduler", self.scheduler, schedulers.names())
        _one_of("--dialect", self.dialect, ("1999", "iproute2"))
        _one_of("--controller", self.controller, ("auto", "ryu", "os-ken"))


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadRequest(f"{option} {value!r} is unknown: choose from {', '.join(known)}.")
