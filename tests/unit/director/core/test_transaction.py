"""Transactions: written in steps or at once, a change is the same; rolled back, it leaves no trace."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
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
from director.core.decision import Forward
from director.core.director import Director
from director.core.errors import LvsError, ServiceExists
from director.core.packet import ACK, SYN, TCP, Endpoint
from director.core.real_server import Method
from director.core.schedulers import names, wrr
from director.core.transaction import exhaust
from director.engines.engine import EngineError
from director.formats.command_json import encode
from tests.unit.director.core.support import FTP, RS1, RS2, RS3, WEB, activated, client, published, tcp
from tests.unit.director.core.test_fuzz import commands
from tests.unit.director.idle import Idle

# ---- written in steps ----


KEY = ServiceKey(TCP, WEB)
ports = st.lists(st.tuples(st.integers(1000, 1012), st.sampled_from([SYN, ACK])), min_size=1, max_size=12)


def state(director: Director) -> object:
    """All that is visible of it, without its objects."""
    rules = director.rules
    turns = [
        {name: value for name, value in vars(service.scheduler).items() if isinstance(value, int | float)}
        for service in rules
    ]
    removed = {service.key: sorted(service.removed) for service in rules if service.removed}
    gone = {key: sorted(servers) for key, servers in rules.removed.items()}
    settings = rules.sysctls, rules.timeouts, rules.marks, rules.vips(), list(rules.local)
    listed = sorted(map(str, director.listing(9)))
    return [service.as_dict() for service in rules], turns, removed, gone, settings, listed


def says(director: Director, port: int, flags: int) -> object:
    decision = director.decide(tcp(client(port), WEB, flags), 1)
    return decision.reasons, getattr(decision, "destination", None)


@given(
    change=st.lists(commands, min_size=1, max_size=6),
    meanwhile=ports,
    scheduler=st.sampled_from([name for name in names() if name != "twos"]),  # which draws lots
)
@settings(deadline=None)
def test_packets_meet_the_old_rules_before_activation_and_the_new_ones_after(
    change: list[Command], meanwhile: list[tuple[int, int]], scheduler: str
) -> None:
    sliced, at_once = used(scheduler), used(scheduler)
    transaction = sliced.transaction()
    coming = cycle(meanwhile)
    came: list[tuple[int, int]] = []
    observed: list[object] = []
    refused = False
    try:
        for _ in transaction.write(change):
            came.append(next(coming))
            observed.append(says(sliced, *came[-1]))
    except LvsError:
        refused = True
    assert observed == [says(at_once, *entry) for entry in came]
    if refused:
        with pytest.raises(LvsError):
            at_once.apply(change, 1)
    else:
        sliced.activate(transaction)
        assert transaction.vips == sliced.rules.vips()
        for _ in sliced.finish(transaction, deque(change), 1):
            pass
        at_once.apply(change, 1)
    assert state(sliced) == state(at_once)
    for port in range(2000, 2009):
        assert says(sliced, port, SYN) == says(at_once, port, SYN)


@given(change=st.lists(commands, min_size=1, max_size=6), meanwhile=ports)
@settings(deadline=None)
def test_packets_are_forwarded_while_a_transaction_finishes(
    change: list[Command], meanwhile: list[tuple[int, int]]
) -> None:
    director = used("wlc")
    transaction = director.transaction()
    try:
        for _ in transaction.write([SetSysctl("expire_nodest_conn", 1), *change]):
            pass
    except LvsError:
        return
    director.activate(transaction)
    for _, (port, flags) in zip(
        director.finish(transaction, deque(change), 1), cycle(meanwhile), strict=False
    ):
        says(director, port, flags)
        director.apply([SetSysctl("drop_entry", 0)], 1)  # another one, which has been waiting
    servers = {id(connection.server): connection.server for connection in director.connections}
    assert sum(server.active + server.inactive for server in servers.values()) == len(director.connections)


def test_a_discarded_transaction_leaves_no_trace() -> None:
    director = used("wrr")
    before = state(director)
    transaction = director.transaction()
    for _ in islice(transaction.write([AddServer(KEY, RS3, 9), Clear()]), 3):
        assert state(director) == before
    for _ in transaction.discard():
        pass
    assert state(director) == before


# ---- how much is done at once ----


def loaded(services: int, servers: int) -> Iterator[Command]:
    for number in range(services):
        key = ServiceKey(TCP, Endpoint(f"203.0.{113 + number // 250}.{number % 250 + 1}", 80))
        yield AddService(key)
        for host in range(servers):
            yield AddServer(key, Endpoint(f"172.16.{host // 250}.{host % 250 + 1}", 80), 1 + host % 3)


def lines_of(work: Callable[[], object]) -> int:
    """Lines of the core that are executed: a measure that does not depend on the machine."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        if "director/core" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def most_lines_of_a_step(steps: Iterator[None]) -> int:
    most = 0
    done = False

    def step() -> None:
        nonlocal done
        done = next(steps, steps) is steps

    while not done:
        most = max(most, lines_of(step))
    return most


@pytest.mark.parametrize("scheduler", names())
@pytest.mark.parametrize(("services", "servers"), [(300, 1), (3, 100)])
def test_no_step_of_a_large_change_does_more_than_a_small_one(
    scheduler: str, services: int, servers: int
) -> None:
    director = Director(scheduler=scheduler)
    for change in (list(loaded(services, servers)), [Clear()]):
        transaction = director.transaction()
        assert most_lines_of_a_step(transaction.write(change)) < 200
        director.activate(transaction)
        assert most_lines_of_a_step(director.finish(transaction, deque(change), 0)) < 60 + 2 * services


@pytest.mark.parametrize("scheduler", names())
def test_activating_new_services_takes_the_same_time_for_any_number(scheduler: str) -> None:
    lines = []
    for services in (1, 100):
        director = Director(scheduler=scheduler)
        transaction = director.transaction()
        for _ in transaction.write(loaded(services, 3)):
            pass
        lines.append(lines_of(lambda: director.activate(transaction)))  # noqa: B023
    assert lines[0] == lines[1]


@pytest.mark.parametrize("scheduler", names())
def test_a_load_costs_the_same_for_each_server(scheduler: str) -> None:
    lines = []
    for servers in (50, 200):
        director = Director(scheduler=scheduler)
        lines.append(lines_of(lambda: director.apply(list(loaded(1, servers)), 0)))  # noqa: B023
    assert lines[1] < 4.4 * lines[0]


def test_activation_takes_two_lines_per_deleted_server() -> None:
    director = Director()
    director.apply(list(loaded(10, 100)), 0)
    transaction = director.transaction()
    for _ in transaction.write([Clear()]):
        pass
    assert lines_of(lambda: director.activate(transaction)) < 2 * 1000 + 500


@pytest.mark.parametrize(("weight", "upper", "most"), [(9, 0, 2), (9, 9, 2)])
def test_activation_takes_few_lines_per_edited_server(weight: int, upper: int, most: int) -> None:
    director = Director()
    director.apply(list(loaded(10, 100)), 0)
    edits = [
        EditServer(service.key, server.address, weight=weight, upper=upper)
        for service in director.rules
        for server in service.servers
    ]
    transaction = director.transaction()
    for _ in transaction.write(edits):
        pass
    assert lines_of(lambda: director.activate(transaction)) < most * 1000 + 500


@pytest.mark.parametrize("ended", [False, True])
def test_a_threshold_below_the_connections_holds_from_activation_on(*, ended: bool) -> None:
    """Unless they have ended by then: nothing would end the overload of a server without connections."""
    director = Director(scheduler="rr")
    director.apply([AddService(KEY), AddServer(KEY, RS1), AddServer(KEY, RS2)], 0)
    for port in range(1, 5):
        director.decide(tcp(client(port), WEB, SYN), 0)
    transaction = director.transaction()
    exhaust(transaction.write([EditServer(KEY, RS1, upper=2)]))
    server = director.rules.by_key[KEY].servers.at(RS1)
    assert server is not None
    assert not server.overloaded
    if ended:
        director.expire(1000)
    director.activate(transaction)
    assert server.overloaded is not ended


def test_raising_a_threshold_ends_an_overload_that_began_while_it_was_written() -> None:
    director = Director(scheduler="rr")
    director.apply([AddService(KEY), AddServer(KEY, RS1, upper=1)], 0)
    transaction = director.transaction()
    exhaust(transaction.write([EditServer(KEY, RS1, upper=2)]))
    director.decide(tcp(client(1), WEB, SYN), 0)
    server = director.rules.by_key[KEY].servers.at(RS1)
    assert server is not None
    assert server.overloaded
    director.activate(transaction)
    assert not server.overloaded


def test_services_with_the_local_node_are_known_without_a_search() -> None:
    """So that an engine need not look at all servers when one of them changes."""
    director = Director(is_local=lambda address: address == "172.16.0.1")
    director.apply(list(loaded(3, 0)), 0)
    first, second, third = director.rules
    local, remote = Endpoint("172.16.0.1", 80), Endpoint("172.16.0.2", 80)
    director.apply([AddServer(first.key, remote), AddServer(second.key, local)], 0)
    assert list(director.rules.local) == [second]
    director.apply([AddServer(third.key, local), DeleteService(second.key)], 0)
    assert list(director.rules.local) == [third]
    with pytest.raises(ServiceExists):
        director.apply([AddServer(first.key, local), DeleteService(third.key), AddService(first.key)], 0)
    assert list(director.rules.local) == [third]
    director.apply([Clear()], 0)
    assert list(director.rules.local) == []


def test_the_index_of_vs_nat_servers_follows_a_change_in_steps() -> None:
    """A packet with IP options asks for it; only the first such packet waits until it is built."""
    director = Director()
    director.apply(list(loaded(3, 100)), 0)
    rules = director.rules
    assert rules.has_server("172.16.0.7")
    (first, *_) = rules
    changes: list[Command] = [DeleteServer(service.key, Endpoint("172.16.0.7", 80)) for service in rules]
    changes.append(AddServer(first.key, Endpoint("172.16.9.9", 80)))
    transaction = director.transaction()
    exhaust(transaction.write(changes))
    director.activate(transaction)
    assert lines_of(lambda: rules.has_server("172.16.0.7")) < 10
    assert most_lines_of_a_step(director.finish(transaction, deque(changes), 0)) < 60
    assert not rules.has_server("172.16.0.7")
    assert rules.has_server("172.16.9.9")
    assert rules.serves(TCP, Endpoint("172.16.9.9", 80))


def test_rates_are_estimated_in_steps() -> None:
    director = Director()
    director.apply(list(loaded(3, 200)), 0)
    later: list[Iterator[None]] = []
    assert lines_of(lambda: director.tick(2.0, later.append)) < 100
    (steps,) = later
    assert most_lines_of_a_step(steps) < 20


def test_a_dry_run_does_not_look_at_other_services() -> None:
    lines = []
    for services in (2, 60):
        director = Director()
        director.apply(list(loaded(services, 3)), 0)
        syn = tcp(client(1), WEB)
        lines.append(lines_of(lambda: director.dry_run(syn, 0)))  # noqa: B023
    assert lines[0] == lines[1]


def test_a_server_added_again_has_its_connections() -> None:
    director = used("wrr")
    bound = {str(connection.server_endpoint): connection for connection in director.connections}
    server = bound[str(RS1)].server
    director.apply([DeleteServer(KEY, RS1)], 1)
    director.apply([AddServer(KEY, RS1, 7)], 1)
    assert director.rules.by_key[KEY].server(RS1) is server
    assert server.weight == 7
    decision = director.decide(tcp(bound[str(RS1)].client, WEB, ACK), 1)
    assert isinstance(decision, Forward)


def test_all_counters_are_zeroed_at_once() -> None:
    """A listing must not show a service at 0 and its servers not."""
    director = used("wrr")
    transaction = director.transaction()
    exhaust(transaction.write([Zero()]))
    service = director.rules.by_key[KEY]
    assert any(server.stats.connections for server in service.servers)
    director.activate(transaction)
    assert [counted.stats.connections for counted in (service, *service.servers)] == [0] * (
        1 + len(service.servers)
    )


# ---- rolled back ----


WEB_KEY, FTP_KEY = ServiceKey(TCP, WEB), ServiceKey(TCP, FTP)
ONE_OF_EACH: tuple[tuple[Command, ...], ...] = (
    (AddService(ServiceKey(TCP, Endpoint("203.0.113.9", 80))),),
    (AddService(FTP_KEY), AddServer(FTP_KEY, Endpoint("172.16.0.9", 21))),
    (EditService(WEB_KEY, "sh", ("sh-port",), 60),),
    (DeleteService(WEB_KEY),),
    (AddServer(WEB_KEY, RS3, 4),),
    (EditServer(WEB_KEY, RS1, weight=9, method=Method.NAT, upper=5, lower=1),),
    (DeleteServer(WEB_KEY, RS1),),
    (DeleteServer(WEB_KEY, RS2), AddServer(WEB_KEY, RS2, 7)),
    (Clear(),),
    (Clear(), AddService(WEB_KEY), AddServer(WEB_KEY, RS1, 3)),
    (Zero(None),),
    (Zero(WEB_KEY),),
    (SetTimeouts(9, 8, 7),),
    (SetSysctl("expire_nodest_conn", 1), DeleteServer(WEB_KEY, RS2)),
    (SetSysctl("lblc_expiration", 5), SetSysctl("secure_tcp", 3)),
    (AddMark(1, "203.0.113.0/24", TCP, 80, 80),),
)


class Refusing(Idle):
    """Refuses every change, and remembers the rules it was given."""

    def __init__(self, director: Director) -> None:
        super().__init__(director)
        self.shown: list[object] = []

    def install_rules(self) -> None:
        self.shown.append(rules_of(self._director))
        raise EngineError("no.")


def rules_of(director: Director) -> object:
    return [service.as_dict() for service in director.rules], director.rules.vips()


def everything(director: Director) -> object:
    """All of a director's state, including whose turn it is."""
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
    settings = rules.sysctls, rules.timeouts, rules.marks, rules.vips(), list(rules.local)
    life = director._lifecycle._timeouts, director._lifecycle.secure, director._overload.drop_rate
    return held, removed, settings, life, list(director.listing(9))


def used(scheduler: str, **options: Any) -> Director:
    """A director with two servers, one deleted in between, and a few connections."""
    director = Director(scheduler=scheduler, **options)
    director.apply(
        [
            AddService(WEB_KEY),
            AddServer(WEB_KEY, RS1, 2),
            AddServer(WEB_KEY, RS2, 3),
            AddServer(WEB_KEY, RS3),
        ],
        0,
    )
    for port in range(5):
        director.decide(tcp(client(1000 + port), WEB), 0)
    director.apply([DeleteServer(WEB_KEY, RS3)], 0)
    return director


@pytest.mark.parametrize(
    "change", ONE_OF_EACH, ids=lambda change: "+".join(type(command).__name__ for command in change)
)
@pytest.mark.parametrize("scheduler", ["rr", "wrr", "sh", "mh", "lblcr"])
def test_a_refused_change_leaves_everything_as_it_was(change: tuple[Command, ...], scheduler: str) -> None:
    events: list[Any] = []
    director = used(scheduler, on_event=events.append)
    engine = Refusing(director)
    before, rules, event_count = everything(director), rules_of(director), len(events)
    handler = RequestHandler(director, engine, lambda: 9.0, {})  # type: ignore[arg-type]
    answer = handler({"do": "apply", "commands": [encode(command) for command in change]})
    assert answer == {"ok": False, "error": "no."}
    assert everything(director) == before
    assert [event.kind for event in events[event_count:]] == ["refused"]
    assert engine.shown[-1] == rules  # so that it undoes what was half done


@given(
    changes=st.lists(st.lists(commands, min_size=1, max_size=4), max_size=6),
    scheduler=st.sampled_from(names()),
)
def test_a_rolled_back_transaction_leaves_no_trace(changes: list[list[Command]], scheduler: str) -> None:
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
        ours, others = (decider.decide(tcp(client(port), WEB), 2) for decider in (director, twin))
        if scheduler != "twos":  # which draws lots
            assert getattr(ours, "destination", None) == getattr(others, "destination", None)


def test_a_deletion_ends_connections_only_when_it_finishes() -> None:
    director = used("rr")
    director.apply([SetSysctl("expire_nodest_conn", 1)], 0)
    there = len(director.connections)
    change: list[Command] = [Clear()]
    transaction = activated(director, change)
    assert len(director.connections) == there
    exhaust(director.finish(transaction, deque(change), 1))
    assert len(director.connections) == 0


# ---- what takes effect at once has to be little ----


def test_values_that_stay_the_same_cost_nothing_at_activation() -> None:
    director = published()
    same = EditServer(KEY, RS1, weight=1, upper=0, lower=0)
    transaction = director.transaction()
    exhaust(transaction.write([same]))
    noted = {name for name, (others, _) in transaction._pending._by_name.items() if others}
    assert not noted & {"weight", "weight_before", "upper", "lower", "method", "requested_method"}
    assert not transaction._limited


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 9)), max_size=9), st.integers(0, 9))
def test_merged_turns_are_those_of_all_changes(changes: list[tuple[int, int]], current: int) -> None:
    """wrr's: divisors and maxima, as many services' servers may have them one after the other."""
    one_by_one, merged = wrr.Scheduler(), wrr.Scheduler()
    kept: list[tuple[int, int]] = []
    for scheduler in (one_by_one, merged):
        scheduler.current_weight = current
    for change in changes:
        one_by_one.apply_change(change)
        wrr.Scheduler.merge(kept, change)
    for change in kept:
        merged.apply_change(change)
    assert vars(one_by_one) == vars(merged) or not changes


def test_a_thousand_edited_servers_are_few_changes_for_wrr() -> None:
    kept: list[tuple[int, int]] = []
    for weight in range(1000, 1, -1):
        wrr.Scheduler.merge(kept, (1, weight))
    assert kept == [(1, 1000), (1, 3), (1, 2)]
