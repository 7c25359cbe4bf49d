"""VS-TUN, VS-DR: an ftp service is not persistent, so the director has no rule for its data connections."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import FTP, option, services_of
from doctor.state import LabState

TITLE = "an ftp service is not persistent, and its data connections find no real server"

_TIMEOUT = 300  # seconds: ipvsadm's default


def find(state: LabState) -> Iterator[Cause]:
    if state.method == "nat" or not any(trial.port == FTP for trial in state.failures):
        return
    for service in services_of(state, FTP):
        if service.port == FTP and not service.persistent and service.targets:
            yield Cause(
                "ftp_apart",
                state.director_host.name,
                f"the service {service} is not persistent",
                "In passive mode a client opens data connections to high ports of the VIP. With persistence, "
                f"the service of port {FTP} takes them, and sends them to the real server of the client's "
                "control connection. Without it no rule matches such a port, and the kernel refuses it. "
                "(In VS-NAT the ftp helper expects them.)",
                f"ipvsadm -E {option(service)} -s {service.scheduler} -p {_TIMEOUT}",
            )
