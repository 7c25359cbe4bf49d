"""The hash table of a service's scheduler, to show it or to hand it to a data plane."""

from __future__ import annotations

from collections.abc import Sequence

from director.core.real_server import RealServer
from director.core.schedulers import dh, mh, sh
from director.core.service import VirtualService


def hash_table(service: VirtualService) -> Sequence[RealServer]:
    """The real server of each bucket, of dh, mh and sh; empty for other schedulers."""
    if isinstance(service.scheduler, mh.Scheduler):
        return service.scheduler.table(service.servers, service.key.family)
    if isinstance(service.scheduler, dh.Scheduler | sh.Scheduler):
        return service.scheduler.table(service.servers)
    return ()
