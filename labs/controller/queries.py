"""The requests on the control socket, and what is answered.

    {"do": "switches"}             switches that are connected and forward, with their ports
    {"do": "ports"}                counters of every port, read from the switches now
    {"do": "arp", "since": 17}     ARP claims after serial 17 (default 0: all that are kept)
    {"do": "forget-arp"}           forget them
    {"do": "framework"}            name and version of what this runs on

An answer has "ok": true and its data, or "ok": false and an "error" for people. What is asked
is a `StateQueries`; it knows neither sockets nor OpenFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from labs.controller.records import ArpSighting, PortCounters, Switch

Message = dict[str, Any]


class ControlError(Exception):
    """A request that can't be answered; the text is for the one who asked."""


class StateQueries(Protocol):
    """What the application can be asked. Methods raise ControlError where they can't answer."""

    def switches(self) -> tuple[Switch, ...]: ...

    def ports(self) -> tuple[PortCounters, ...]: ...

    def arp(self, since: int) -> tuple[ArpSighting, ...]: ...

    def forget_arp(self) -> int: ...

    def framework(self) -> tuple[str, str]: ...


def answer(state: StateQueries, request: Message) -> Message:
    """The answer to `request`; never raises for what a caller may have written."""
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
        raise ControlError(f"since={since!r} is no serial: give the serial of the last claim you have")
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
