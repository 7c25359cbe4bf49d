"""The kernel drops what comes out of tunl0: on tunl0, for all interfaces, or on each of them."""

from __future__ import annotations

from classroom.exercise import SERVER, Edit, Fault

_SETTINGS = "/proc/sys/net/ipv4/conf"


def _strict(*interfaces: str) -> Fault:
    return Fault(tuple(_edit(interface) for interface in interfaces))


def _edit(interface: str) -> Edit:
    setting = f"{_SETTINGS}/{interface}/rp_filter"
    return Edit(SERVER, "realserver.sh", setting, f"echo 1 > {setting}")


_HARDENED = """
# As security recommends: no packets from where they can't come from.
for setting in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > "$setting"; done"""

FAULTS = (_strict("tunl0"), _strict("all"), Fault((Edit(SERVER, "realserver.sh", put=_HARDENED),)))
