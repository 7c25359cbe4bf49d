"""The VIP was never set, or another address was."""

from __future__ import annotations

from classroom.exercise import SERVER, Edit, Fault

_WRONG = "203.0.113.113"
_ALIAS = {"dr": "lo:0", "tun": "tunl0"}
_VIP = " {vip} netmask"


def _without(method: str) -> Fault:
    alias = _ALIAS[method]
    lines = (f"ifconfig {alias}{_VIP}", "route add -host {vip}")
    return Fault(tuple(Edit(SERVER, "realserver.sh", line) for line in lines), (method,))


def _with_another(method: str) -> Fault:
    """As from a copied line with a slip in it."""
    alias = _ALIAS[method]
    mask = "netmask 255.255.255.255"
    put = f"ifconfig {alias} {_WRONG} {mask} broadcast {_WRONG} up"
    address = Edit(SERVER, "realserver.sh", f"ifconfig {alias}{_VIP}", put)
    route = Edit(SERVER, "realserver.sh", "route add -host {vip}", f"route add -host {_WRONG} dev {alias}")
    return Fault((address, route), (method,))


FAULTS = (_without("dr"), _without("tun"), _with_another("dr"), _with_another("tun"))
