"""VS-TUN: a packet filter drops the director's ICMP message that a packet is too big for the tunnel."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import Packet, dropped
from doctor.state import CLIENT, ROUTER, FilterRule, HostState, LabState

TITLE = "ICMP 'fragmentation needed' is blocked"
VERSIONS = (4,)  # of IP


def find(state: LabState) -> Iterator[Cause]:
    if state.method != "tun":
        return
    for host in state.by_role(CLIENT, ROUTER):
        for packet in _messages(state, host):
            rule = dropped(host.filters, packet, *_hooks(host))
            if rule:
                yield _cause(host, rule)
                break


def _hooks(host: HostState) -> tuple[str, ...]:
    return "prerouting", "forward" if host.role == ROUTER else "input", "postrouting"


def _messages(state: LabState, host: HostState) -> Iterator[Packet]:
    """The message to each client whose path includes the host."""
    clients = [host.main] if host.role == CLIENT else state.clients
    on_the_path = host.role == CLIENT or any(
        plug.switch == state.director_host.main.switch for plug in host.plugs
    )
    for client in clients if on_the_path else ():
        yield {
            "l4proto": ("icmp", 1),
            "ip protocol": ("icmp", 1),
            "icmp type": ("destination-unreachable", 3),
            "icmp code": ("frag-needed", 4),
            "ct state": "related",
            "ip saddr": (state.dip, state.vip),
            "ip daddr": client.address,
        }


def _cause(host: HostState, rule: FilterRule) -> Cause:
    place = f"{rule.family} {rule.table} {rule.chain}"
    repair = f"nft delete rule {place} handle {rule.handle}"
    if not rule.handle:
        repair = f"nft insert rule {place} icmp type destination-unreachable accept"
    return Cause(
        "icmp_filtered",
        host.name,
        f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}",
        "The tunnel adds 20 bytes, so a client's full-sized packets do not fit. The director answers them "
        "with ICMP (destination unreachable, fragmentation needed). A client that never receives it "
        "retransmits the same large packets: small requests work, large uploads hang.",
        repair,
    )
