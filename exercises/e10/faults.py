"""The service is persistent."""

from __future__ import annotations

from classroom.exercise import Edit, Fault


def _persistent(options: str, why: str) -> Fault:
    line = f"ipvsadm -E -t {{vip}}:80 -s {{scheduler}} {options}"
    return Fault((Edit("d", "rules.sh", put=f"\n# {why}\n{line}"),))


FAULTS = (
    _persistent("-p 300", "So that nobody loses the shopping basket."),
    _persistent("-p 600", "Sessions last ten minutes."),
    _persistent("-p 300 -M 255.255.0.0", "Large providers have several proxies; one user may come by all."),
    _persistent("-p", "As recommended."),
)
