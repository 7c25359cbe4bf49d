"""Checks of every host on a path: links, addresses, the reverse path, and filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from doctor.difference import Difference, PathPacket
from doctor.nftables import dropped
from doctor.routing import next_hop
from doctor.state import HostState, LabState, NextHop, Plug

_STRICT = 1  # rp_filter
# Hooks of nftables, for a packet to this host, through it, and from it.
INPUT = ("ingress", "prerouting", "input")
THROUGH = ("ingress", "prerouting", "forward")
OUTPUT = ("output",)
LAST = "postrouting"


def link(host: HostState, interface: str) -> Iterator[Difference]:
    link = host.link(interface)
    if not host.links or (link and link.works):
        return
    observed = "there is no such interface"
    if link:
        observed = "it has no carrier: its other end is down or gone" if link.up else "it is down"
    look = f"ip link show dev {interface}"
    yield Difference(host.name, "link", f"{interface} is up and has a carrier", observed, look)


def planned_address(host: HostState, plug: Plug) -> Iterator[Difference]:
    """A plug's interface has the planned address and netmask."""
    wanted = f"{plug.address}/{plug.prefix} on {plug.interface}"
    found = [address for address in host.addresses if address.address == plug.address]
    look = f"ip address show dev {plug.interface}"
    if not found:
        others = [str(address) for address in host.addresses if address.interface == plug.interface]
        yield Difference(host.name, "address", wanted, ", ".join(others) or "no address", look)
    for address in found:
        if (address.interface, address.prefix) != (plug.interface, plug.prefix):
            yield Difference(host.name, "netmask", wanted, str(address), look)


def reverse_path(host: HostState, packet: PathPacket, inbound: str, hop: NextHop) -> Iterator[Difference]:
    """With rp_filter 1, the kernel drops a packet that it would answer through another interface."""
    if not inbound or hop.local or host.setting("rp_filter", inbound) != _STRICT:
        return
    back = next_hop(host, packet.source)
    if back.interface and back.interface != inbound:
        yield Difference(
            host.name,
            "setting",
            f"packets from {packet.source} are accepted on {inbound}",
            f"{host.setting_text('rp_filter', 'all', inbound)}, and the route back is {back}",
            f"sysctl net.ipv4.conf.{inbound}.rp_filter",
        )


def filtered(
    state: LabState, host: HostState, packet: PathPacket, hooks: Iterable[str]
) -> Iterator[Difference]:
    """A packet filter that drops the packet; the director's engines receive packets before its filter."""
    if host.role == "director" and not state.director.is_kernel_ipvs:
        return
    rule = dropped(host.filters, packet.facts, *hooks)
    if rule:
        yield Difference(
            host.name,
            "filter",
            f"{packet} pass",
            f"table {rule.family} {rule.table}, chain {rule.chain}: {rule.text or rule.verdict}",
            "nft list ruleset",
        )
