"""The settings of the virtual router are not the same on both directors."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import restart_takeover
from doctor.state import HostState, LabState, Paired

TITLE = "the directors' settings of the virtual router differ"
EXPLAINS = ("two_masters",)

_FILE = "keepalived.conf"
_ADDRESSES = "virtual_ipaddress"


def find(state: LabState) -> Iterator[Cause]:
    for director in state.pair:
        host = state.host(director.name)
        if director.differences and host and not host.error:
            yield _cause(state, host, director)


def _cause(state: LabState, host: HostState, director: Paired) -> Cause:
    evidence = "; ".join(
        f"{name} is {is_}, not {wanted}" for name, (wanted, is_) in director.differences.items()
    )
    owners = " and ".join(state.vip_owners) or "neither"
    return Cause(
        "takeover_differs",
        host.name,
        f"its {_FILE}: {evidence}; {owners} own{'' if len(state.vip_owners) > 1 else 's'} {state.vip}",
        "A router ignores advertisements of another virtual router, version or list of addresses: then both "
        "directors believe that they are alone. With different intervals they disagree about how long "
        "a silence means that the other is dead.",
        "\n".join([*_edits(host, director, state.whole), *restart_takeover(host)]),
    )


def _edits(host: HostState, director: Paired, bits: int) -> Iterator[str]:
    for name, (wanted, is_) in director.differences.items():
        if name != _ADDRESSES:
            yield f"sed -i 's|^\\( *{name} \\).*|\\1{wanted}|' {_FILE}"
            continue
        for address in sorted(set(is_.split()) - set(wanted.split())):
            yield f"sed -i '\\,^ *{address}\\([/ ]\\|$\\),d' {_FILE}"
        for address in sorted(set(wanted.split()) - set(is_.split())):
            device = next(
                (plug.interface for plug in host.plugs if plug.reaches(address)), host.main.interface
            )
            yield f"sed -i 's|^ *{_ADDRESSES} {{|&\\n        {address}/{bits} dev {device}|' {_FILE}"
