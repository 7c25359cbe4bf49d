"""The requests on the control socket, their answers, and the records that travel in them as JSON objects.

    {"do": "switches"}             switches that are connected and forward, with their ports
    {"do": "ports"}                counters of every port, read from the switches now
    {"do": "arp", "since": 17}     ARP packets after serial 17 (default 0: all that are kept), or IPv6
                                   neighbour solicitations and advertisements
    {"do": "forget-arp"}           delete them
    {"do": "framework"}            name and version of the OpenFlow framework

An answer has "ok": true and its data, or "ok": false and an "error" for users. A `StateQueries` answers;
this module uses neither sockets nor OpenFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Port:
    """A switch port: its OpenFlow number and the interface that is plugged in, such as s1-eth1."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch that is connected and forwards; `name` is the bridge's, such as s1."""

    name: str
    dpid: int
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class PortCounters:
    """Counters since the port was created, from the switch's view: rx is what the host sent.

    Bytes are of Ethernet frames without preamble and checksum (OpenFlow 1.3, 7.3.5.6).
    """

    switch: str
    dpid: int
    port: int
    name: str
    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int


@dataclass(frozen=True, slots=True)
class ArpSighting:
    """An ARP packet that entered a switch: a host claims an address (RFC 826).

    `at` is in seconds since the epoch; `operation` is "request", "reply", or another number;
    `frame_source` is the MAC of the Ethernet header, which an honest sender repeats as `sender_mac`.
    `serial` counts from 1, over all switches. For neighbour discovery see `arp_log.Arp`.
    """

    serial: int
    at: float
    switch: str
    port: int
    port_name: str
    operation: str
    sender_ip: str
    sender_mac: str
    target_ip: str
    frame_source: str
    flags: str = ""


Message = dict[str, Any]


class ControlError(Exception):
    """A request cannot be answered; the text is for the caller."""


class StateQueries(Protocol):
    """The queries that the application answers; methods raise ControlError if they cannot."""

    def switches(self) -> tuple[Switch, ...]: ...

    def ports(self) -> tuple[PortCounters, ...]: ...

    def arp(self, since: int) -> tuple[ArpSighting, ...]: ...

    def forget_arp(self) -> int: ...

    def framework(self) -> tuple[str, str]: ...


def answer(state: StateQueries, request: Message) -> Message:
    """The answer to `request`; never raises, whatever the request contains."""
    verb = request.get("do")
    action = _ACTIONS.get(verb) if isinstance(verb, str) else None
    if action is None:
        return {"ok": False, "error": f"unknown request {verb!r}: choose from {', '.join(_ACTIONS)}"}
    try:
        return {"ok": True, **action(state, request)}
    except ControlError as error:
        return {"ok": False, "error": str(error)}


def _switches(state: StateQueries, _: Message) -> Message:
    return {"switches": [asdict(switch) for switch in state.switches()]}


def _ports(state: StateQueries, _: Message) -> Message:
    return {"ports": [asdict(port) for port in state.ports()]}


def _arp(state: StateQueries, request: Message) -> Message:
    since = request.get("since", 0)
    if type(since) is not int:
        raise ControlError(f"since={since!r} is not a serial: give that of the last ARP packet you have")
    return {"arp": [asdict(claim) for claim in state.arp(since)]}


def _forget_arp(state: StateQueries, _: Message) -> Message:
    return {"serial": state.forget_arp()}


def _framework(state: StateQueries, _: Message) -> Message:
    name, version = state.framework()
    return {"name": name, "version": version}


_ACTIONS: dict[str, Callable[[StateQueries, Message], Message]] = {
    "switches": _switches,
    "ports": _ports,
    "arp": _arp,
    "forget-arp": _forget_arp,
    "framework": _framework,
}
