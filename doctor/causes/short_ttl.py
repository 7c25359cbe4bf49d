"""A host sends packets with a TTL that expires on the way."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, SERVER, LabState

TITLE = "packets start with a TTL that expires on the way"
VERSIONS = (4,)  # of IP

_USUAL = 64
_SETTING = "ip_default_ttl"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, SERVER):
        ttl = host.settings.get(_SETTING, _USUAL)
        hosts = 1 if state.method != "nat" and host.role == SERVER else 2
        if ttl <= hosts:
            yield Cause(
                "short_ttl",
                host.name,
                f"{_SETTING} is {ttl}; its packets pass {hosts} hosts that count it down",
                "Every router takes 1 off the TTL and drops the packet at 0; so does the director. Hosts "
                "on the same segment are reached, so a ping of the gateway works.",
                f"sysctl -w net.ipv4.{_SETTING}={_USUAL}",
            )
