"""A learning switch: the port of each MAC address, and the OpenFlow 1.3 messages for its flows.

    table 0   IPv6                     drop in a lab with IPv4 only: the kernels' background IPv6 packets
                                       would distort the port counters; otherwise
              neighbour discovery      as ARP
              ARP                      to the controller, which records, learns and forwards it
              known (port, source)     go to table 1
              anything else            to the controller, which learns the source
    table 1   known destination        out of its port
              anything else            out of all ports but the ingress port

The flow for the sender of an ARP reply is installed before the reply is forwarded, so IP packets normally
never pass through the controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from labs.controller.arp_log import (
    ADVERTISEMENT,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV6,
    ICMPV6,
    SOLICITATION,
    is_group,
)

LARGEST = 8192  # addresses of one switch; frames from others are forwarded, but their source is not learnt


@dataclass(frozen=True, slots=True)
class Learnt:
    """`mac` is behind `port`; before, it was behind `moved_from` (None: unknown)."""

    mac: str
    port: int
    moved_from: int | None = None


class MacTable:
    """The addresses of one switch."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._ports: dict[str, int] = {}
        self._largest = largest

    def __len__(self) -> int:
        return len(self._ports)

    def learn(self, mac: str, port: int) -> Learnt | None:
        """Learn from a frame that `mac` sent through `port`; None if that is known already."""
        before = self._ports.get(mac)
        if before == port or is_group(mac):
            return None
        if before is None and len(self._ports) >= self._largest:
            return None
        self._ports[mac] = port
        return Learnt(mac, port, before)

    def port_of(self, mac: str) -> int | None:
        """The port for frames to `mac`; None means all ports but the ingress port."""
        return self._ports.get(mac)

    def forget_port(self, port: int) -> tuple[str, ...]:
        """Forget and return the addresses behind a deleted port."""
        gone = tuple(mac for mac, behind in self._ports.items() if behind == port)
        for mac in gone:
            del self._ports[mac]
        return gone


Datapath = Any  # ryu.controller.controller.Datapath, or os-ken's
Message = Any

_LEARN, _FORWARD = 0, 1
_REST, _KNOWN, _ARP, _DROP = 0, 10, 20, 30  # priorities


def initial_flows(datapath: Datapath, *, ipv6: bool = False) -> Iterator[Message]:
    """Replace all flows of a switch with those that do not depend on any address.

    With `ipv6` it forwards IPv6, otherwise it drops it.
    """
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    up = [parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)]
    flood = [parser.OFPActionOutput(ofp.OFPP_FLOOD)]
    yield _delete(datapath, ofp.OFPTT_ALL)
    if ipv6:
        message = {"eth_type": ETHERTYPE_IPV6, "ip_proto": ICMPV6}
        for kind in (SOLICITATION, ADVERTISEMENT):
            yield _add(datapath, _LEARN, _ARP, {**message, "icmpv6_type": kind}, _apply(datapath, up))
    else:
        yield _add(datapath, _LEARN, _DROP, {"eth_type": ETHERTYPE_IPV6}, [])
    yield _add(datapath, _LEARN, _ARP, {"eth_type": ETHERTYPE_ARP}, _apply(datapath, up))
    yield _add(datapath, _FORWARD, _REST, {}, _apply(datapath, flood))
    yield _add(datapath, _LEARN, _REST, {}, _apply(datapath, up))


def learnt_flows(datapath: Datapath, mac: str, port: int, moved_from: int | None) -> Iterator[Message]:
    """`mac` is behind `port`, and no longer behind `moved_from`."""
    parser = datapath.ofproto_parser
    if moved_from is not None:
        yield _delete(datapath, _LEARN, in_port=moved_from, eth_src=mac)
    out = [parser.OFPActionOutput(port)]
    yield _add(datapath, _FORWARD, _KNOWN, {"eth_dst": mac}, _apply(datapath, out))
    forward = [parser.OFPInstructionGotoTable(_FORWARD)]
    yield _add(datapath, _LEARN, _KNOWN, {"in_port": port, "eth_src": mac}, forward)


def forgotten_flows(datapath: Datapath, port: int, macs: Iterable[str]) -> Iterator[Message]:
    """`macs` were behind `port`, which was deleted."""
    for mac in macs:
        yield _delete(datapath, _LEARN, in_port=port, eth_src=mac)
        yield _delete(datapath, _FORWARD, eth_dst=mac)


def packet_out(datapath: Datapath, in_port: int, out_port: int | None, data: bytes) -> Message:
    """Forward a frame from `in_port` to `out_port`, or to all other ports if that is None."""
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    actions = [parser.OFPActionOutput(ofp.OFPP_FLOOD if out_port is None else out_port)]
    return parser.OFPPacketOut(datapath, ofp.OFP_NO_BUFFER, in_port, actions, data)


def _apply(datapath: Datapath, actions: list[Any]) -> list[Any]:
    apply = datapath.ofproto.OFPIT_APPLY_ACTIONS
    return [datapath.ofproto_parser.OFPInstructionActions(apply, actions)]


def _add(datapath: Datapath, table: int, priority: int, match: dict[str, Any], does: list[Any]) -> Message:
    parser = datapath.ofproto_parser
    return parser.OFPFlowMod(
        datapath, table_id=table, priority=priority, match=parser.OFPMatch(**match), instructions=does
    )


def _delete(datapath: Datapath, table: int, **match: Any) -> Message:
    ofp, parser = datapath.ofproto, datapath.ofproto_parser
    return parser.OFPFlowMod(
        datapath,
        table_id=table,
        command=ofp.OFPFC_DELETE,
        out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
        match=parser.OFPMatch(**match),
    )
