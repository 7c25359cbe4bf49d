"""VS-NAT, VS-DR: small pages load, everything longer hangs, and uploads work."""

from __future__ import annotations

from classroom.checks.downloads import clients_untouched, downloads_arrive
from classroom.checks.packet_properties import uploads_arrive
from classroom.checks.service import all_served, fair_shares
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("nat", "dr"),
    checks=(all_served, fair_shares, downloads_arrive, uploads_arrive, clients_untouched),
)

# ---- Faults ----
# The interface through which the replies arrive has a smaller MTU than those that send them.

_WHY = "# The uplink's operator recommends this for its tunnel."


def _mtu(host: str, script: str, interface: str, method: str) -> Fault:
    return Fault((Edit(host, script, put=f"\n{_WHY}\nifconfig {interface} mtu 1400"),), (method,))


FAULTS = (_mtu("d", "director.sh", "d-eth1", "nat"), _mtu("r0", "router.sh", "r0-eth1", "dr"))

# ---- Solutions ----
# The same MTU at both ends of the cable.

_INTERFACES = (("d", "d-eth1"), ("r0", "r0-eth1"))  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="small_mtu",
        host=host,
        evidence=("capture", "counters", "settings"),
        fails=("downloads_arrive",),
        repairs=(Repair(host, (f"ip link set {interface} mtu 1500",)),),
    )
    for host, interface in _INTERFACES
)
