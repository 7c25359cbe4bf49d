"""VS-TUN, VS-DR: some requests get no answer."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served, fair_shares
from classroom.model import SERVER, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("dr", "tun"),
    checks=(all_served, fair_shares, one_answer),
)

# ---- Faults ----
# A real server has no VIP: it was never set, or another address was.

_WRONG = "203.0.113.113"
_ALIAS = {"dr": "lo:0", "tun": "tunl0"}
_VIP = " {vip} netmask"


def _without(method: str) -> Fault:
    alias = _ALIAS[method]
    lines = (f"ifconfig {alias}{_VIP}", "route add -host {vip}")
    return Fault(tuple(Edit(SERVER, "realserver.sh", line) for line in lines), (method,))


def _with_another(method: str) -> Fault:
    """A copied line with a typing error."""
    alias = _ALIAS[method]
    mask = "netmask 255.255.255.255"
    put = f"ifconfig {alias} {_WRONG} {mask} broadcast {_WRONG} up"
    address = Edit(SERVER, "realserver.sh", f"ifconfig {alias}{_VIP}", put)
    route = Edit(SERVER, "realserver.sh", "route add -host {vip}", f"route add -host {_WRONG} dev {alias}")
    return Fault((address, route), (method,))


FAULTS = (_without("dr"), _without("tun"), _with_another("dr"), _with_another("tun"))

# ---- Solutions ----
# Add the VIP to the right device.

_DEVICES = ("lo", "tunl0", "lo", "tunl0")  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="vip_missing",
        host=SERVER,
        evidence=("addresses", "counters"),
        fails=("all_served", "fair_shares"),
        repairs=(Repair(SERVER, (f"ip addr add {{vip}}/32 dev {device}",)),),
    )
    for device in _DEVICES
)
