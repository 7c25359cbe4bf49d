"""A change that is written in steps, with packets in between, is the change that is made at once."""

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

from director.core.commands import (
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    ServiceKey,
    SetSysctl,
    Zero,
)
from director.core.decision import Forward
from director.core.director import Director
from director.core.errors import LvsError
from director.core.packet import ACK, SYN, TCP, Endpoint
from director.core.schedulers import names
from director.core.transaction import exhaust
from tests.unit.director.core.support import RS1, RS3, WEB, client, tcp
from tests.unit.director.core.test_change import used
from tests.unit.director.core.test_fuzz import commands

KEY = ServiceKey(TCP, WEB)
ports = st.lists(st.tuples(st.integers(1000, 1012), st.sampled_from([SYN, ACK])), min_size=1, max_size=12)


def state(director: Director) -> object:
    """All that can be seen of it, without the objects that it is made of."""
    rules = director.rules
    turns = [
        {name: value for name, value in vars(service.scheduler).items() if isinstance(value, int | float)}
        for service in rules
    ]
    removed = {service.key: sorted(service.removed) for service in rules if service.removed}
    gone = {key: sorted(servers) for key, servers in rules.removed.items()}
    settings = rules.sysctls, rules.timeouts, rules.marks, rules.vips()
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
def test_packets_in_between_meet_the_old_rules_and_those_behind_the_new_ones(
    change: list[Command], meanwhile: list[tuple[int, int]], scheduler: str
) -> None:
    sliced, at_once = used(scheduler), used(scheduler)
    transaction = sliced.transaction()
    coming = cycle(meanwhile)
    came: list[tuple[int, int]] = []
    seen: list[object] = []
    refused = False
    try:
        for _ in transaction.write(change):
            came.append(next(coming))
            seen.append(says(sliced, *came[-1]))
    except LvsError:
        refused = True
    assert seen == [says(at_once, *each) for each in came]
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
def test_packets_while_it_settles_lose_nothing(
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
    servers = {id(one.server): one.server for one in director.connections}
    assert sum(one.active + one.inactive for one in servers.values()) == len(director.connections)


def test_a_draft_that_is_left_has_never_been() -> None:
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
        for one in range(servers):
            yield AddServer(key, Endpoint(f"172.16.{one // 250}.{one % 250 + 1}", 80), 1 + one % 3)


def lines_of(work: Callable[[], object]) -> int:
    """Lines of the core that are run: Python's own steps, whatever the machine."""
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
        # The services are looked through once or twice, at a line or two for each of them.
        assert most_lines_of_a_step(transaction.write(change)) < 200 + services
        director.activate(transaction)
        assert most_lines_of_a_step(director.finish(transaction, deque(change), 0)) < 60 + 2 * services


@pytest.mark.parametrize("scheduler", names())
def test_new_services_come_into_force_at_once_however_many(scheduler: str) -> None:
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


def test_deleted_servers_cost_two_lines_each_when_it_comes_into_force() -> None:
    director = Director()
    director.apply(list(loaded(10, 100)), 0)
    transaction = director.transaction()
    for _ in transaction.write([Clear()]):
        pass
    assert lines_of(lambda: director.activate(transaction)) < 2 * 1000 + 500


def test_rates_are_estimated_in_steps() -> None:
    director = Director()
    director.apply(list(loaded(3, 200)), 0)
    later: list[Iterator[None]] = []
    assert lines_of(lambda: director.tick(2.0, later.append)) < 100
    (steps,) = later
    assert most_lines_of_a_step(steps) < 20


def test_a_rehearsal_does_not_look_at_other_services() -> None:
    lines = []
    for services in (2, 60):
        director = Director()
        director.apply(list(loaded(services, 3)), 0)
        syn = tcp(client(1), WEB)
        lines.append(lines_of(lambda: director.dry_run(syn, 0)))  # noqa: B023
    assert lines[0] == lines[1]


def test_a_server_that_comes_back_has_its_connections() -> None:
    director = used("wrr")
    bound = {str(one.server_endpoint): one for one in director.connections}
    server = bound[str(RS1)].server
    director.apply([DeleteServer(KEY, RS1)], 1)
    director.apply([AddServer(KEY, RS1, 7)], 1)
    assert director.rules.by_key[KEY].server(RS1) is server
    assert server.weight == 7
    decision = director.decide(tcp(bound[str(RS1)].client, WEB, ACK), 1)
    assert isinstance(decision, Forward)


def test_all_counters_are_zeroed_at_once() -> None:
    """Whoever saves them then must not find a service at 0 and its servers not."""
    director = used("wrr")
    transaction = director.transaction()
    exhaust(transaction.write([Zero()]))
    service = director.rules.by_key[KEY]
    assert any(server.stats.connections for server in service.servers)
    director.activate(transaction)
    assert [one.stats.connections for one in (service, *service.servers)] == [0] * (1 + len(service.servers))
