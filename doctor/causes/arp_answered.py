"""A real server beside the director has the VIP, and its kernel answers ARP requests for it."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.arp import SILENT, is_silenced
from doctor.causes import Cause
from doctor.state import HostState, LabState

TITLE = "a real server answers ARP for the VIP"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.beside_the_vip():
        lan = host.main.interface
        if is_silenced(host, state.vip):
            continue
        if host.setting("arp_ignore", lan) in SILENT:
            yield _on_the_lan(host, state.vip)
        elif not _was_meant(host):
            yield _answers(host, state.vip)


def _was_meant(host: HostState) -> bool:
    """Set in a wrong place: that is a cause of its own."""
    return any(host.settings.get(f"conf.{name}.arp_ignore", 0) for name in ("lo", "default"))


def _answers(host: HostState, vip: str) -> Cause:
    lan = host.main.interface
    return Cause(
        "arp_answered",
        host.name,
        f"{host.told('arp_ignore', 'all', lan)}: the larger counts; it has {host.has(vip)}",
        f"A host answers ARP for all its addresses, on every interface. The router that asks for {vip} takes "
        f"whoever answers it, and what it then sends to {host.name} never passes the director.",
        f"sysctl -w net.ipv4.conf.{lan}.arp_ignore=1",
    )


def _on_the_lan(host: HostState, vip: str) -> Cause:
    lan = host.main.interface
    return Cause(
        "arp_answered",
        host.name,
        f"it has {host.has(vip)}, the interface that hears the requests; "
        f"{host.told('arp_ignore', 'all', lan)}",
        "arp_ignore=1 silences a host about addresses of other interfaces only. The router that asks for "
        f"{vip} takes whoever answers it, and what it then sends to {host.name} never passes the director.",
        f"ip address del {vip}/{_prefix(host, vip)} dev {lan}\nip address add {vip}/32 dev lo",
    )


def _prefix(host: HostState, vip: str) -> int:
    address = host.has(vip)
    return address.prefix if address else 32
