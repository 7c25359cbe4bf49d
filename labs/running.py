"""A lab that runs: everything a check may use or look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # some of them know the checks, which know this file
    from labs.client import Client
    from labs.controller.client import ControllerClient
    from labs.director_process import DirectorProcess
    from labs.evidence import Evidence
    from labs.network import Network
    from labs.options import LabOptions
    from labs.packet_table import Row
    from labs.plan import Plan
    from labs.server_farm import ServerFarm


@dataclass(slots=True)
class Running:
    plan: Plan
    options: LabOptions
    network: Network
    clients: tuple[Client, ...]
    director: DirectorProcess
    controller: ControllerClient
    farm: ServerFarm
    evidence: Evidence
    packets: list[Row | None] = field(default_factory=list)  # the packet table, once observed
