"""VS-NAT: there is a service for ftp, and the director runs without its helper."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.services import FTP
from doctor.state import LabState

TITLE = "nobody rewrites the addresses that ftp sends as text"


def find(state: LabState) -> Iterator[Cause]:
    director = state.director
    ftp = next((one for one in director.services if one.port == FTP and one.protocol == "TCP"), None)
    if state.method != "nat" or director.ftp_helper or ftp is None:
        return
    yield Cause(
        "no_ftp_helper",
        state.director_host.name,
        f"the director runs with --no-ftp-helper, and has the service {ftp}",
        "ftp says in its control connection where data connections are to be opened: a real server names "
        "its private address, which clients can't reach. Somebody has to rewrite that text on its way, "
        "and to let the data connections in: so logging in works, and lists and files do not.",
        "sed -i 's/ *--no-ftp-helper//' start.sh\n"
        "kill $(pgrep -f '[d]irector --method')\n"
        "setsid sh start.sh > start.log 2>&1 &\n"
        "sh rules.sh",
    )
