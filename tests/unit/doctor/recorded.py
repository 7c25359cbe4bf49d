"""States of the three healthy labs, recorded by tests/labs/doctor_trial.py, and changes to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from doctor.state import HostState, LabState, Service

METHODS = ("nat", "tun", "dr")
_STATES = Path(__file__).resolve().parent / "states"


def healthy(method: str) -> LabState:
    return LabState.from_dict(json.loads((_STATES / f"{method}.json").read_text()))


def host(state: LabState, name: str) -> HostState:
    return next(candidate for candidate in state.hosts if candidate.name == name)


def on(state: LabState, name: str, **changes: Any) -> LabState:
    """With changed fields of one host; in mappings, only the named keys change."""
    before = host(state, name)
    for what, value in changes.items():
        if isinstance(value, Mapping):
            changes[what] = {**getattr(before, what), **value}
    after = replace(before, **changes)
    return replace(state, hosts=tuple(after if other is before else other for other in state.hosts))


def without(state: LabState, name: str, address: str) -> LabState:
    """Without an address of a host, to which its kernel then delivers nothing."""
    before = host(state, name)
    hops = (
        replace(hop, local=False, interface="") if hop.local and hop.target == address else hop
        for hop in before.next_hops
    )
    held = (entry for entry in before.addresses if entry.address != address)
    return on(state, name, addresses=tuple(held), next_hops=tuple(hops))


def setting(state: LabState, name: str, **values: int) -> LabState:
    """`conf_all_rp_filter=1`; LAN is the host's first interface."""
    lan = host(state, name).main.interface
    settings = {_named(key, lan): value for key, value in values.items()}
    return on(state, name, settings=settings)


def _named(word: str, lan: str) -> str:
    where, _, what = word.partition("__")
    return f"conf.{lan if where == 'LAN' else where}.{what}" if what else word


def director(state: LabState, **changes: Any) -> LabState:
    return replace(state, director=replace(state.director, **changes))


def http(state: LabState, **changes: Any) -> LabState:
    """With another service for http."""
    services = (
        replace(service, **changes) if service.port == 80 else service for service in state.director.services
    )
    return director(state, services=tuple(services))


def http_service(state: LabState) -> Service:
    return next(service for service in state.director.services if service.port == 80)
