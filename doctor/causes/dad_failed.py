"""IPv6: duplicate address detection keeps an address from being used."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, Address, HostState, LabState

TITLE = "duplicate address detection keeps an address from being used"
EXPLAINS = ("director_vip", "no_gateway", "no_route", "vip_missing")
VERSIONS = (6,)  # of IP


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        wanted = {plug.address for plug in host.plugs} | ({state.vip} if host.planned.vip_on else set())
        for address in host.addresses:
            if address.address in wanted and address.detection and not host.has(address.address):
                yield _cause(state, host, address)


def _cause(state: LabState, host: HostState, held: Address) -> Cause:
    switches = {plug.switch for plug in host.plugs if plug.interface == held.interface}
    others = [
        other.name
        for switch in switches
        for other, plug in state.on_switch(switch)
        if other is not host
        and any(
            (address.address, address.interface) == (held.address, plug.interface)
            for address in other.addresses
        )
    ]
    also = f"; {' and '.join(dict.fromkeys(others))} on the same segment has it, too" if others else ""
    return Cause(
        "dad_failed",
        host.name,
        f"it has {held}{also}",
        "Before it uses an IPv6 address, a host asks whether a neighbour has it (RFC 4862). Until then the "
        "address is tentative; if one answers, it is dadfailed for ever: the host neither accepts packets "
        "to it nor answers for it. On lo nobody asks, and with nodad the host does not ask.",
        "\n".join(_repair(state, host, held)),
    )


def _repair(state: LabState, host: HostState, held: Address) -> Iterator[str]:
    yield f"ip address del {held.address}/{held.prefix} dev {held.interface}"
    if held.address == state.vip:
        yield f"ip address add {state.vip}/{state.whole} dev {host.planned.vip_on} nodad"
    else:
        plug = next(plug for plug in host.plugs if plug.address == held.address)
        yield f"ip address add {plug.address}/{plug.prefix} dev {plug.interface} nodad"
