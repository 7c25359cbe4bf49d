"""The checks of a lab. Each causes some traffic, reads evidence, and compares.

A check is a function from the running lab to one or more `Check`s. A file here contains the checks of one
subject, which SUBJECT names. `ALL` is the order in which they run: ARP first, while no cache is warm, and the
packet table before the traffic that would fill the captures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from labs.checks.arp import only_director_answers, only_director_claims
from labs.checks.ftp import ftp_modes
from labs.checks.http import downloads, keep_alive, two_clients, uploads
from labs.checks.packets import client_addresses, packet_table, refused, reply_path
from labs.checks.result import Check
from labs.checks.scheduling import as_scheduled
from labs.run.running import RunningLab

if TYPE_CHECKING:
    from labs.plan import Plan
    from labs.run.options import LabOptions

CheckFunction = Callable[[RunningLab], Check | tuple[Check, ...]]

ALL: tuple[CheckFunction, ...] = (
    only_director_answers,
    packet_table,
    as_scheduled,
    keep_alive,
    downloads,
    reply_path,
    uploads,
    two_clients,
    ftp_modes,
    client_addresses,
    refused,
    only_director_claims,
)


def of(plan: Plan, options: LabOptions) -> tuple[CheckFunction, ...]:
    """The checks of a lab; with two directors, those of failures too."""
    if not plan.pair:
        return ALL
    from labs.checks import failures  # late: most labs have one director

    *first, last = ALL
    return (*first, *failures.checks(options), last)


def subject(check: CheckFunction, version: int = 4) -> str:
    """The subject of a check's file in this version of IP, such as `ftp`."""
    module = sys.modules[check.__module__]
    name = getattr(module, "SUBJECT", check.__module__)
    return str(getattr(module, "SUBJECT6", name) if version == 6 else name)
