"""The director's kernel forwards as well: replies leave twice, once as they are."""

from __future__ import annotations

from classroom.exercise import Edit, Fault

_FORWARD = "/proc/sys/net/ipv4/ip_forward"

FAULTS = (
    Fault((Edit("d", "director.sh", f"echo 0 > {_FORWARD}", f"echo 1 > {_FORWARD}"),)),
    Fault((Edit("d", "director.sh", put=f"\n# As in the notes of 1999.\necho 1 > {_FORWARD}"),)),
    Fault((Edit("d", "rules.sh", put="\n# VS-NAT needs it.\nsysctl -q -w net.ipv4.ip_forward=1"),)),
)
