"""The commands that change or read the rules: one model under both administration tools.

ippfvsadm (1999) and ipvsadm are front ends that build these; the control socket carries them
as JSON; the core applies a list of them as one step or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from director.core.decision import Method
from director.core.packet import Endpoint


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """What names a virtual service: protocol (6 or 17) and the VIP with its port."""

    protocol: int
    address: Endpoint


@dataclass(frozen=True, slots=True)
class AddService:
    key: ServiceKey
    scheduler: str | None = None  # None: the director's own default
    exist_ok: bool = False  # the 1999 tool: the first -A creates the service


@dataclass(frozen=True, slots=True)
class DeleteService:
    key: ServiceKey


@dataclass(frozen=True, slots=True)
class AddServer:
    key: ServiceKey
    server: Endpoint
    weight: int = 1
    method: Method | None = None  # None: the director's own default


@dataclass(frozen=True, slots=True)
class EditServer:
    key: ServiceKey
    server: Endpoint
    weight: int | None = None
    method: Method | None = None


@dataclass(frozen=True, slots=True)
class DeleteServer:
    key: ServiceKey
    server: Endpoint


@dataclass(frozen=True, slots=True)
class Clear:
    """Remove every service."""


Command = AddService | DeleteService | AddServer | EditServer | DeleteServer | Clear
