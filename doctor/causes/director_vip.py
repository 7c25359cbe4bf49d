"""No host answers ARP for the VIP: the director does not have it, or does not answer for it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import is_silenced
from doctor.state import HostState, LabState

TITLE = "the director does not answer ARP for the VIP"


def find(state: LabState) -> Iterator[Cause]:
    host = state.director_host
    if host.error:
        return
    if not host.has(state.vip):
        yield _cause(state, host, _evidence(host, state.vip), _address(host, state.vip))
    elif is_silenced(host, state.vip):
        repair, evidence = zip(*_silencers(host, state.vip), strict=True)
        yield _cause(state, host, "; ".join(evidence), "\n".join(repair))


def _cause(state: LabState, host: HostState, evidence: str, repair: str) -> Cause:
    return Cause(
        "director_vip",
        host.name,
        evidence,
        f"The router asks by ARP who has {state.vip}, and no host answers. Its neighbour entry for "
        f"{state.vip} becomes FAILED, and it tells clients that the host is unreachable.",
        repair,
    )


def _evidence(host: HostState, vip: str) -> str:
    here = ", ".join(str(address) for address in host.addresses if address.interface == host.main.interface)
    return f"{host.main.interface} has {here or 'no address'}; {vip} is not among its addresses"


def _address(host: HostState, vip: str) -> str:
    lan = host.main.interface
    if ":" in vip:
        return f"ip address add {vip}/128 dev {lan} nodad preferred_lft 0"
    return f"ip address add {vip}/32 dev {lan} label {lan}:0\nip route replace {vip}/32 dev {lan} src {vip}"


def _silencers(host: HostState, vip: str) -> Iterator[tuple[str, str]]:
    """What keeps it from answering: the command that undoes it, and the evidence."""
    lan = host.main.interface
    for name in ("all", lan):
        if host.settings.get(f"conf.{name}.arp_ignore", 0):
            value = host.setting_text("arp_ignore", name)
            yield f"sysctl -w net.ipv4.conf.{name}.arp_ignore=0", value
    for rule in host.filters:
        if rule.family == "arp" and rule.verdict == "drop" and vip in json.dumps(rule.matches):
            place = f"arp {rule.table} {rule.chain}"
            yield f"nft delete rule {place} handle {rule.handle}", f"nftables, chain {place}: {rule.text}"
