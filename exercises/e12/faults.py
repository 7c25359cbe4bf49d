"""The real server is deleted; it should only get no new connections."""

from __future__ import annotations

from classroom.exercise import Edit, Fault
from classroom.probes.drain import SCRIPT

DELETES = ("ippfvsadm -D -t {vip}:80 -R {rip}:{port}", "ipvsadm -d -t {vip}:80 -r {rip}:{port}")

QUIESCES = "ipvsadm -e -t {vip}:80 -r {rip}:{port} -w 0"
_FORWARDING = {"nat": "-m", "tun": "-i", "dr": "-g"}


def right(method: str) -> str:
    """The last line of drain.sh as it should be; ipvsadm has to be told the method again."""
    return f"{QUIESCES} {_FORWARDING[method]}"


FAULTS = tuple(Fault((Edit("d", SCRIPT, put=line),)) for line in DELETES)
