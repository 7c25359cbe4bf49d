"""A running lab: everything that a check may use or examine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # some of these import the checks, which import this file
    from labs.controller.controller_client import ControllerClient
    from labs.hosts.client import Client
    from labs.hosts.server_farm import ServerFarm
    from labs.network.emulation import Network
    from labs.plan import Plan
    from labs.run.evidence import Evidence
    from labs.run.options import LabOptions
    from labs.run.packet_table import Row
    from labs.run.processes import DirectorProcess
    from labs.run.report import Failure


@dataclass(slots=True)
class RunningLab:
    plan: Plan
    options: LabOptions
    network: Network
    clients: tuple[Client, ...]
    directors: tuple[DirectorProcess, ...]
    controller: ControllerClient
    farm: ServerFarm
    evidence: Evidence
    packets: list[Row | None] = field(default_factory=list)  # the packet table, once observed
    failures: list[Failure] = field(default_factory=list)  # measurements of moves of the VIP
    second: RunningLab | None = None  # the same lab for the checks of IPv6, if it has both IP versions

    @property
    def parts(self) -> tuple[RunningLab, ...]:
        """The lab as the checks of each IP version use it."""
        return (self, self.second) if self.second else (self,)

    @property
    def director(self) -> DirectorProcess:
        """The director; with two, the one that owns the VIP, or else the first."""
        alone = len(self.directors) == 1
        return next(
            (director for director in self.directors if alone or director.owns_vip()), self.directors[0]
        )
