"""A host does not have the address that the others use for it."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import enable_ipv6, resolution_requests
from doctor.routing import planned_routes
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState, Plug

TITLE = "a host does not have its address"
EXPLAINS = ("no_gateway", "no_route", "rp_filter", "wrong_netmask")


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for plug in host.plugs:
            if not any(address.address == plug.address for address in host.addresses):
                yield _cause(host, plug)


def _cause(host: HostState, plug: Plug) -> Cause:
    here = [str(address) for address in host.addresses if address.interface == plug.interface]
    wanted = f"{plug.address}/{plug.prefix}"
    return Cause(
        "address_missing",
        host.name,
        f"{plug.interface} has {', '.join(here) or 'no address'}, not {wanted}",
        f"The routes and rules of the other hosts name {plug.address}, and no host answers "
        f"{resolution_requests(plug.address)} for it. With the address, the route to its "
        "network has gone, and routes through a gateway there.",
        "\n".join(
            [*enable_ipv6(host), f"ip address add {wanted} dev {plug.interface}", *planned_routes(host)]
        ),
    )
