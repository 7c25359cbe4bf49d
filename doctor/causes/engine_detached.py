"""The engine's hook in front of the director's kernel is gone, so the kernel itself answers for the VIP."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import dropped
from doctor.queries import FTP, HTTP, request_packet, restart_director, services_of
from doctor.state import HostState, LabState

TITLE = "what the director has attached to its kernel is gone"

_UPCALLS = "lvs-upcall"  # the device from which the engine ebpf reads
_TABLE = "lvs"  # the nftables table with which the engine scapy keeps the kernel from answering


def find(state: LabState) -> Iterator[Cause]:
    host = state.director_host
    if state.troubled and not state.director.error and not host.error:
        yield from _cause(state, host)


def _cause(state: LabState, host: HostState) -> Iterator[Cause]:
    repair = list(restart_director(state))
    if state.director.engine == "scapy" and not _keeps_kernel_silent(state, host):
        evidence = (
            f"`nft list ruleset` shows no table {_TABLE} on {host.name} with a rule that drops packets to "
            f"{state.vip}"
        )
        why = (
            "The VIP is an address of the director's kernel, too. That rule drops packets for the VIP behind "
            "the director's packet sockets; without it the kernel answers them as well, with a RST, because "
            "no program listens there."
        )
    elif state.director.engine == "ebpf" and (bare := _without_program(host)):
        evidence = f"`tc filter show dev {bare} ingress` shows no filter"
        why = (
            f"The director's program is a filter at ingress of each of its interfaces. Without it on {bare} "
            "the kernel gets the packets that arrive there. It refuses those for the VIP, because no program "
            "listens there, and drops the replies of real servers, whose connections it does not know."
        )
    elif state.director.engine == "ebpf" and (link := host.link(_UPCALLS)) and not link.up:
        evidence = f"the interface {_UPCALLS} of {host.name} is down"
        why = (
            "The program hands packets that it does not decide about to the director through that interface, "
            "such as those of ftp's control connections: they are lost."
        )
        repair = [f"ip link set {_UPCALLS} up"]
    else:
        return
    yield Cause("engine_detached", host.name, evidence, why, "\n".join(repair))


def _keeps_kernel_silent(state: LabState, host: HostState) -> bool:
    """Whether packets of the services are dropped before the kernel gets them."""
    rules = [rule for rule in host.filters if rule.table == _TABLE]
    served = [port for port in (HTTP, FTP) if services_of(state, port)]
    packets = (
        {**request_packet(client.address, state.vip, port), "iifname": host.main.interface}
        for client in state.clients
        for port in served
    )
    return bool(rules) and all(dropped(rules, packet, "prerouting") for packet in packets)


def _without_program(host: HostState) -> str:
    """The first of its interfaces without a filter; "" if all have one."""
    attached = {hook.interface for hook in host.traffic_filters}
    return next((plug.interface for plug in host.plugs if plug.interface not in attached), "")
