"""VS-NAT: there is a service for ftp, but the director runs without its ftp helper."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import FTP, restart_director
from doctor.state import LabState

TITLE = "the addresses in ftp control connections are not rewritten"


def find(state: LabState) -> Iterator[Cause]:
    director = state.director
    ftp = next(
        (service for service in director.services if service.port == FTP and service.protocol == "TCP"), None
    )
    if state.method != "nat" or director.ftp_helper or ftp is None:
        return
    yield Cause(
        "no_ftp_helper",
        state.director_host.name,
        f"the director runs with --no-ftp-helper, and has the service {ftp}",
        "ftp names the address of its data connections in the control connection: a real server names its "
        "private address, which clients cannot reach. The ftp helper rewrites it and expects the data "
        "connections; without it, clients can log in, but not list or download.",
        "\n".join(["sed -i 's/ *--no-ftp-helper//' start.sh", *restart_director(state)]),
    )
