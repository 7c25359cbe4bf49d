"""The director rebuilt from its events, with the core's own code: rules, schedulers and connections.

Events name each command and each connection in the order in which they took effect. Commands are applied to a
core of our own, whose schedulers pick a server for each new connection as the director's did. So the picture
shows the scheduler's real state, in a replay too; `differs` says that the two have picked different servers.

Connections are counted from the events, not by forwarding packets again.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from director.core import schedulers
from director.core.commands import AddService, EditService, ServiceKey
from director.core.director import Director
from director.core.errors import LvsError
from director.core.packet import PROTOCOLS, SYN, TCP, Endpoint, Packet
from director.core.real_server import Method, RealServer
from director.core.schedulers._tables import hash_table
from director.core.service import VirtualService
from director.core.states import ACTIVE
from view.rule_words import read_command

Event = Mapping[str, Any]

_BUCKET = re.compile(r" hashes to bucket (\d+) of (\d+)")
_WITH_SCHEDULER = (AddService, EditService)
_STAND_IN = "rr"
_ENDS = ("expired", "evicted")
_MOST_TURNS = 400
_MOST_SLOTS = 256  # that a picture shows: mh has 4093, too many to tell apart
_ACTIVE = frozenset(state.value for state in ACTIVE)

# What each least-connection scheduler compares (director/core/schedulers), in words and computed.
_LOAD = "(active*256 + inactive) / weight"
_FORMULAS: dict[str, tuple[str, Callable[[RealServer], float]]] = {
    "lc": ("active*256 + inactive", lambda server: server.overhead),
    "wlc": (_LOAD, lambda server: server.overhead / server.weight),
    "twos": (f"the better of two drawn at random: {_LOAD}", lambda server: server.overhead / server.weight),
    "sed": ("(active + 1) / weight", lambda server: (server.active + 1) / server.weight),
    "nq": (
        "an idle server first, else (active + 1) / weight",
        lambda server: (server.active + 1) / server.weight if server.active else 0.0,
    ),
    "ovf": ("the heaviest with fewer active connections than its weight", lambda server: server.active),
    "fo": ("the heaviest", lambda server: server.weight),
}
_RECENT = 40  # choices shown for a scheduler whose state is unknown


@dataclass(slots=True)
class _Known:
    """A connection and its last event, whose time is `at`."""

    event: Event
    server: RealServer | None
    at: float

    @property
    def active(self) -> bool:
        return self.event["state"] in _ACTIVE


class Mirror:
    """`method` and `scheduler` are the defaults that the director was started with.

    The state of a scheduler that is not built in, such as a student's own, is unknown: its picture is the
    list of its choices, and rr stands in for it in the core.
    """

    def __init__(self, method: str, scheduler: str) -> None:
        self._scheduler = scheduler
        known = scheduler if scheduler in schedulers.names() else _STAND_IN
        self._core = Director(method=Method[method.upper()], scheduler=known)
        self._custom: dict[ServiceKey, str] = {}  # services whose scheduler is not built in, and its name
        self._recent: dict[ServiceKey, deque[str]] = {}
        self._connections: dict[str, _Known] = {}
        self._chosen: dict[tuple[str, str], Counter[str]] = {}
        self.differs = False  # whether our scheduler once picked another server than the director's
        self._lossy = False  # events are missing, so the director has connections that we do not know

    @property
    def vips(self) -> set[str]:
        return {service.key.address.address for service in self._core.rules if not service.key.mark}

    # ---- what happens ----

    def follow(self, event: Event, *, with_picture: bool = True) -> dict[str, Any] | None:
        """Apply an event; return the scheduler's item if it scheduled a new connection, else None.

        Raises KeyError, TypeError or ValueError for an event that no director writes.
        """
        kind = event["kind"]
        if kind == "rules":
            command = read_command(str(event.get("command")))
            if isinstance(command, _WITH_SCHEDULER):
                command = self._with_known_scheduler(command)
            if command is not None:
                try:
                    self._core.apply([command], float(event["time"]))
                except LvsError:
                    self.differs = True
            return None
        if kind not in ("new", "state", *_ENDS):
            return None
        key = key_of(event)
        known = self._connections.get(key)
        packet = _opening_packet(event, known is None or kind == "new")
        self._connections.pop(key, None)
        if known and known.server:
            known.server.count(active=known.active, by=-1)
        if kind in _ENDS:
            return None
        service = self._service(packet) if packet and (kind == "new" or not self._lossy) else None
        picture = self._scheduled(service, event, packet, with_picture) if kind == "new" and service else None
        server = known.server if known else self._server(service, event)
        entry = _Known(event, server, float(event["time"]))
        if server:
            server.count(active=entry.active, by=1)
        self._connections[key] = entry
        return picture

    def forget(self) -> None:
        """Forget all connections: events were skipped, so they are no longer known."""
        for known in self._connections.values():
            if known.server:
                known.server.count(active=known.active, by=-1)
        self._connections.clear()
        self._lossy = True

    def adopt(self, services: Iterable[Mapping[str, Any]]) -> None:
        """After skipped events, take each server's connection counts from the director's own list."""
        if not self._lossy:
            return
        listed = {
            (_listed(service), server["address"], server["port"]): (server["active"], server["inactive"])
            for service in services
            for server in service["servers"]
        }
        for service in self._core.rules:
            of = _listed(service.as_dict())
            for server in service.servers:
                address = server.address
                server.active, server.inactive = listed.get((of, address.address, address.port), (0, 0))

    def _with_known_scheduler(self, command: AddService | EditService) -> AddService | EditService:
        name = command.scheduler
        if name is None and isinstance(command, AddService):
            name = self._custom.get(command.key, self._scheduler)  # with exist_ok it may exist already
        if name is None:
            return command
        if name in schedulers.names():
            self._custom.pop(command.key, None)
            return command
        self._custom[command.key] = name
        return replace(command, scheduler=_STAND_IN, flags=())

    def _service(self, packet: Packet) -> VirtualService | None:
        try:
            return self._core.rules.find(packet)
        except (LvsError, ValueError, KeyError):
            return None

    def _server(self, service: VirtualService | None, event: Event) -> RealServer | None:
        wanted = _endpoint(event["server"])
        if service is None:
            return None
        exact = service.server(wanted)
        return exact or next(
            (server for server in service.servers if server.address.address == wanted.address), None
        )

    # ---- the scheduler ----

    def _scheduled(
        self, service: VirtualService, event: Event, packet: Packet | None, with_picture: bool
    ) -> dict[str, Any] | None:
        """None if no scheduler was asked, because a template or an expectation decided."""
        name, why = self._name_of_scheduler(service), str(event.get("why", ""))
        reasons = why.split("; ")
        if not any(reason.startswith(f"{name}:") for reason in reasons):
            return None
        chosen = str(event["server"])
        self._recent.setdefault(service.key, deque(maxlen=_RECENT)).append(chosen)
        if packet and service.key not in self._custom:
            self._advance(service, event, packet, chosen)
        if not with_picture:
            return None
        return {
            "kind": "scheduler",
            "service": _name(service),
            "name": name,
            "connection": key_of(event),
            "chosen": chosen,
            "sentences": reasons,
            "picture": self._picture(service, name, event, reasons),
        }

    def _advance(self, service: VirtualService, event: Event, packet: Packet, chosen: str) -> None:
        """Let our scheduler pick as the director's did; where events were lost, repeat until they agree."""
        wanted, now = _endpoint(chosen), float(event["time"])
        for attempt in range(len(service.servers) * 2 + 1):
            pick = service.scheduler.pick(service.servers, packet, now)
            if pick is None or pick[0].address == wanted:
                break
            self.differs = self.differs or attempt == 0
        address = str(event["vip"]).rpartition(":")[0]
        self._chosen.setdefault((_name(service), address), Counter())[chosen] += 1

    def _picture(
        self, service: VirtualService, name: str, event: Event, reasons: list[str]
    ) -> dict[str, Any]:
        if name in ("rr", "wrr"):
            return _turns(service, str(event["server"]))
        if name in ("sh", "dh", "mh"):
            return _slots(service, reasons)
        if name in ("lblc", "lblcr"):
            rows = [
                {"key": address, "servers": sorted(servers)}
                for (of, address), servers in self._chosen.items()
                if of == _name(service)
            ]
            return {"kind": "sets", "rows": rows}
        formula, value = _FORMULAS.get(name, ("", None))
        loads: list[dict[str, Any]] = [
            {
                "server": str(server.address),
                "weight": server.weight,
                "active": server.active,
                "inactive": server.inactive,
                "value": round(value(server), 3) if value and server.weight > 0 else None,
            }
            for server in service.servers
        ]
        if value is None:
            return {"kind": "recent", "chosen": list(self._recent[service.key]), "rows": loads}
        return {"kind": "counts", "rows": loads, "formula": formula}

    def _name_of_scheduler(self, service: VirtualService) -> str:
        return self._custom.get(service.key, service.policy.scheduler_name)

    # ---- the tables ----

    def tables(self, now: float, most: int) -> dict[str, Any]:
        """Services and connections as the director lists them, but from events alone, so without counters."""
        connections = [
            {
                "key": key,
                "protocol": known.event["protocol"],
                "client": known.event["client"],
                "virtual": known.event["vip"],
                "server": known.event["server"],
                "state": known.event["state"],
                "template": False,
                "expires": max(0.0, round(float(known.event["expires"]) - (now - known.at), 1)),
            }
            for key, known in list(self._connections.items())[-most:]
        ]
        services = [
            {
                **service.as_dict(),
                "scheduler": self._name_of_scheduler(service),
                "persistent": service.policy.persistent,
            }
            for service in self._core.rules
        ]
        return {
            "kind": "tables",
            "services": services,
            "connections": connections,
            "connections_total": len(self._connections),
            "counters": {},
            "source": "events",
        }


def _opening_packet(event: Event, is_first: bool) -> Packet | None:
    """The packet that opened the connection, if this is its first event; None for a later one.

    Raises KeyError, TypeError or ValueError unless the event describes a connection.
    """
    for name in ("protocol", "client", "vip", "server", "state"):
        if not isinstance(event[name], str):
            raise TypeError(name)
    if not isinstance(event["expires"], (int, float)) or not math.isfinite(event["expires"]):
        raise TypeError("expires")
    return _packet(event) if is_first else None


def key_of(event: Event) -> str:
    return f"{event['protocol']} {event['client']} {event['vip']}"


def _name(service: VirtualService) -> str:
    return f"FWM {service.key.mark}" if service.key.mark else str(service.key.address)


def _listed(service: Mapping[str, Any]) -> tuple[Any, ...]:
    return service["protocol"], service["address"], service["port"], service["mark"]


@lru_cache(maxsize=4096)
def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return Endpoint(address.strip("[]"), int(port))


def _packet(event: Event) -> Packet:
    """The packet that opened the connection, with the fields that schedulers look at."""
    client, vip = _endpoint(event["client"]), _endpoint(event["vip"])
    protocol = PROTOCOLS[event["protocol"]]
    return Packet(protocol, client, vip, 40, flags=SYN if protocol == TCP else 0)


def _turns(service: VirtualService, chosen: str) -> dict[str, Any]:
    """One round of rr or wrr: the servers in the order of their turns, until these repeat."""
    scheduler = deepcopy(service.scheduler)
    packet = Packet(TCP, Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 1), 40, flags=SYN)
    turns: list[str] = []
    now = dict(vars(scheduler))
    while len(turns) < _MOST_TURNS:
        pick = scheduler.pick(service.servers, packet, 0.0)
        if pick is None:
            break
        turns.append(str(pick[0].address))
        if vars(scheduler) == now:
            break
    turns = [chosen, *turns[:-1]] if turns and turns[-1] == chosen else turns
    at = 0
    if turns:  # start the picture at the first configured server's turn, so that it does not rotate
        first = str(service.servers[-1].address)
        starts = [place for place, turn in enumerate(turns) if turn == first]
        start = min(starts, key=lambda place: turns[place:] + turns[:place], default=0)
        turns, at = turns[start:] + turns[:start], -start % len(turns)
    return {"kind": "turns", "turns": turns, "at": at}


def _slots(service: VirtualService, reasons: list[str]) -> dict[str, Any]:
    found = next((match for match in map(_BUCKET.search, reasons) if match), None)
    table = hash_table(service)
    owners = list(dict.fromkeys(str(server.address) for server in table))
    places = {owner: place for place, owner in enumerate(owners)}
    strip = [places[str(server.address)] for server in table]
    counts = Counter(strip)
    return {
        "kind": "slots",
        "slots": len(strip),
        "slot": int(found[1]) if found else None,
        "owners": [[owner, counts[place]] for place, owner in enumerate(owners)],
        "strip": strip if len(strip) <= _MOST_SLOTS else None,
    }


def edges(method: str) -> Iterator[list[str]]:
    """The arrows of the core's own state diagram."""
    from director.core.states import DIAGRAMS, transitions

    directions = DIAGRAMS["VS-NAT" if method == "nat" else "VS-TUN and VS-DR"]
    for before, after in transitions(directions):
        yield [before.value, after.value]
