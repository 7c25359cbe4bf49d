"""A change that whoever forwards refuses leaves everything as it was, whichever commands it has."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.control.handler import RequestHandler
from director.core.commands import (
    AddMark,
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    DeleteService,
    EditServer,
    EditService,
    ServiceKey,
    SetSysctl,
    SetTimeouts,
    Zero,
)
from director.core.director import Director
from director.core.errors import LvsError
from director.core.packet import TCP, Endpoint
from director.core.real_server import Method
from director.core.schedulers import names
from director.core.transaction import exhaust
from director.engines.engine import EngineError
from director.formats.command_json import encode
from tests.unit.director.core.support import FTP, RS1, RS2, RS3, WEB, activated, client, tcp
from tests.unit.director.core.test_fuzz import commands
from tests.unit.director.idle import Idle

KEY, OTHER = ServiceKey(TCP, WEB), ServiceKey(TCP, FTP)
ONE_OF_EACH: tuple[tuple[Command, ...], ...] = (
    (AddService(ServiceKey(TCP, Endpoint("203.0.113.9", 80))),),
    (AddService(OTHER), AddServer(OTHER, Endpoint("172.16.0.9", 21))),
    (EditService(KEY, "sh", ("sh-port",), 60),),
    (DeleteService(KEY),),
    (AddServer(KEY, RS3, 4),),
    (EditServer(KEY, RS1, weight=9, method=Method.NAT, upper=5, lower=1),),
    (DeleteServer(KEY, RS1),),
    (DeleteServer(KEY, RS2), AddServer(KEY, RS2, 7)),
    (Clear(),),
    (Clear(), AddService(KEY), AddServer(KEY, RS1, 3)),
    (Zero(None),),
    (Zero(KEY),),
    (SetTimeouts(9, 8, 7),),
    (SetSysctl("expire_nodest_conn", 1), DeleteServer(KEY, RS2)),
    (SetSysctl("lblc_expiration", 5), SetSysctl("secure_tcp", 3)),
    (AddMark(1, "203.0.113.0/24", TCP, 80, 80),),
)


class Refusing(Idle):
    """Refuses every change, and remembers the rules that it has been shown."""

    def __init__(self, director: Director) -> None:
        super().__init__(director)
        self.shown: list[object] = []

    def install_rules(self) -> None:
        self.shown.append(rules_of(self._director))
        raise EngineError("no.")


def rules_of(director: Director) -> object:
    return [service.as_dict() for service in director.rules], director.rules.vips()


def everything(director: Director) -> object:
    """All that a director has, down to whose turn it is."""
    rules = director.rules
    held = [
        (
            service.key,
            service.policy,
            vars(service.scheduler).copy(),
            [(server, server.as_dict(), server.configured, server.overloaded) for server in service.servers],
            dict(service.removed),
            service.as_dict(),
        )
        for service in rules
    ]
    removed = {key: dict(servers) for key, servers in rules.removed.items() if servers}
    settings = rules.sysctls, rules.timeouts, rules.marks, rules.vips()
    life = director._lifecycle._timeouts, director._lifecycle.secure, director._overload.drop_rate
    return held, removed, settings, life, list(director.listing(9))


def used(scheduler: str, **options: Any) -> Director:
    """A director with two servers, one deleted in between, and a few connections."""
    director = Director(scheduler=scheduler, **options)
    director.apply([AddService(KEY), AddServer(KEY, RS1, 2), AddServer(KEY, RS2, 3), AddServer(KEY, RS3)], 0)
    for port in range(5):
        director.decide(tcp(client(1000 + port), WEB), 0)
    director.apply([DeleteServer(KEY, RS3)], 0)
    return director


@pytest.mark.parametrize(
    "change", ONE_OF_EACH, ids=lambda change: "+".join(type(one).__name__ for one in change)
)
@pytest.mark.parametrize("scheduler", ["rr", "wrr", "sh", "mh", "lblcr"])
def test_a_refused_change_leaves_everything_as_it_was(change: tuple[Command, ...], scheduler: str) -> None:
    events: list[Any] = []
    director = used(scheduler, on_event=events.append)
    engine = Refusing(director)
    before, rules, told = everything(director), rules_of(director), len(events)
    handler = RequestHandler(director, engine, lambda: 9.0, {})  # type: ignore[arg-type]
    answer = handler({"do": "apply", "commands": [encode(each) for each in change]})
    assert answer == {"ok": False, "error": "no."}
    assert everything(director) == before
    assert len(events) == told
    assert engine.shown[-1] == rules  # so that it undoes what was half done


@given(
    changes=st.lists(st.lists(commands, min_size=1, max_size=4), max_size=6),
    scheduler=st.sampled_from(names()),
)
def test_whatever_is_rolled_back_has_never_been(changes: list[list[Command]], scheduler: str) -> None:
    director, twin = used(scheduler), used(scheduler)
    for change in changes:
        before = everything(director)
        try:
            prepared = activated(director, change)
        except LvsError:
            assert everything(director) == before
            continue
        director.roll_back(prepared)
        assert everything(director) == before
    for port in range(2000, 2009):
        ours, others = (each.decide(tcp(client(port), WEB), 2) for each in (director, twin))
        if scheduler != "twos":  # which draws lots
            assert getattr(ours, "destination", None) == getattr(others, "destination", None)


def test_a_committed_deletion_ends_connections_only_then() -> None:
    director = used("rr")
    director.apply([SetSysctl("expire_nodest_conn", 1)], 0)
    there = len(director.connections)
    change: list[Command] = [Clear()]
    transaction = activated(director, change)
    assert len(director.connections) == there
    exhaust(director.finish(transaction, deque(change), 1))
    assert len(director.connections) == 0
