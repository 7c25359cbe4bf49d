"""A client has so few ephemeral ports that it cannot open connections."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, UNREACHABLE, HostState, LabState, Trial

TITLE = "a client has too few ephemeral ports"

_RANGE, _RESERVED = "ip_local_port_range", "ip_local_reserved_ports"
_USUAL = {_RANGE: "32768 60999", _RESERVED: ""}
_FEW = 100  # a closed connection keeps its port for a minute (TIME_WAIT)


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT):
        trial = next((trial for trial in state.failures if _lacked_a_port(trial, host)), None)
        number = _ephemeral(host) if trial else None
        if trial and number is not None and number < _FEW:
            yield _cause(host, trial, number)


def _lacked_a_port(trial: Trial, host: HostState) -> bool:
    """Whether the kernel was to choose a port, and none was left."""
    return (trial.host, trial.outcome, trial.source_port) == (host.name, UNREACHABLE, 0) and trial.usual


def _ephemeral(host: HostState) -> int | None:
    """The number of ports from which its kernel may choose; None: unknown."""
    if _RANGE not in host.ranges:
        return None
    first, last = map(int, host.ranges[_RANGE].split())
    reserved: set[int] = set()
    for part in filter(None, host.ranges.get(_RESERVED, "").split(",")):
        start, _, end = part.partition("-")
        reserved.update(range(int(start), int(end or start) + 1))
    return len(set(range(first, last + 1)) - reserved)


def _cause(host: HostState, trial: Trial, number: int) -> Cause:
    changed = [name for name, usual in _USUAL.items() if host.ranges.get(name, usual) != usual]
    settings = ", ".join(f"{name} is {host.ranges[name]}" for name in changed)
    return Cause(
        "no_ports",
        host.name,
        f"{settings}; number of ephemeral ports: {number}; a trial got none: {trial.detail}",
        "For each connection without a port of its own choice the kernel takes one of the range that is not "
        f"reserved and not in use. {host.name} runs out of them, and connect() fails before a packet is "
        "sent.",
        "\n".join(f"sysctl -w net.ipv4.{name}='{_USUAL[name]}'" for name in changed),
    )
