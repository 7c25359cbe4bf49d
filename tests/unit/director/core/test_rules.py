"""Rules are changed whole or not at all, and refuse impossible values."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from director.core import schedulers
from director.core.commands import (
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    DeleteService,
    EditServer,
    EditService,
    ServiceKey,
    SetTimeouts,
)
from director.core.decision import Forward
from director.core.director import Director
from director.core.errors import (
    BadValue,
    LvsError,
    NoSuchServer,
    NoSuchService,
    ServerExists,
    ServiceExists,
    UnknownScheduler,
)
from director.core.packet import ACK, TCP, UDP, Endpoint
from director.core.real_server import Method
from director.core.service import VirtualService
from tests.unit.director.core.support import FTP, RS1, RS2, RS3, VIP, WEB, client, direct, published, tcp

# ---- services, servers and marks ----


KEY = ServiceKey(TCP, WEB)
OTHER = ServiceKey(TCP, Endpoint("203.0.113.1", 443))


def listing(director: Director) -> list[object]:
    return [service.as_dict() for service in director.rules]


@pytest.mark.parametrize(
    ("command", "error", "sentence"),
    [
        (AddService(KEY), ServiceExists, "Service already exists: TCP 203.0.113.1:80"),
        (AddService(OTHER, scheduler="best"), UnknownScheduler, "not found: 'best'"),
        (AddService(ServiceKey(1, WEB)), BadValue, "TCP"),
        (AddService(ServiceKey(TCP, Endpoint("203.0.113.256", 80))), BadValue, "203.0.113.256"),
        (AddService(ServiceKey(TCP, Endpoint("203.0.113.1", 0))), BadValue, "persistent"),
        (DeleteService(OTHER), NoSuchService, "No such service: TCP 203.0.113.1:443"),
        (AddServer(OTHER, RS1), NoSuchService, "Service not defined"),
        (AddServer(KEY, RS1), ServerExists, "172.16.0.2:80"),
        (AddServer(KEY, RS3, weight=-1), BadValue, "weight"),
        (AddServer(KEY, RS3, weight=2**31), BadValue, "0 to 2147483647"),
        (AddServer(KEY, Endpoint("203.0.113.11", 81), method=Method.DR), BadValue, "only VS-NAT"),
        (AddServer(KEY, Endpoint("224.0.0.1", 80)), BadValue, "the address of one host"),
        (AddServer(KEY, Endpoint("255.255.255.255", 80)), BadValue, "the address of one host"),
        (AddServer(KEY, Endpoint("0.0.0.0", 80)), BadValue, "the address of one host"),
        (EditServer(KEY, RS3, weight=1), NoSuchServer, "172.16.0.4:80"),
        (EditServer(KEY, RS1, weight=2**31), BadValue, "weight"),
        (EditServer(KEY, RS2, method=Method.TUN), BadValue, "only VS-NAT"),
        (AddServer(KEY, RS3, weight=True), BadValue, "weight"),
        (DeleteServer(KEY, RS3), NoSuchServer, "172.16.0.4:80"),
    ],
)
def test_a_refused_command_changes_nothing(command: Command, error: type[LvsError], sentence: str) -> None:
    director = published()
    before = listing(director)
    with pytest.raises(error, match=sentence):
        director.apply([DeleteServer(KEY, RS2), AddServer(KEY, RS2, 5), EditServer(KEY, RS1, 9), command], 0)
    after = listing(director)
    assert after == before


def test_a_refused_list_with_clear_changes_nothing() -> None:
    director = published()
    before = listing(director)
    with pytest.raises(NoSuchService):
        director.apply([Clear(), AddServer(KEY, RS1)], 0)
    assert listing(director) == before


def test_exist_ok_creates_the_service_only_once() -> None:
    director = Director()
    for server in (RS1, RS2):
        director.apply([AddService(KEY, exist_ok=True), AddServer(KEY, server)], 0)
    assert [len(service.servers) for service in director.rules] == [2]


def test_an_unknown_default_scheduler_is_refused_at_once() -> None:
    with pytest.raises(UnknownScheduler):
        Director(scheduler="best")


def test_an_object_that_is_not_a_command_changes_nothing() -> None:
    director = published()
    before = listing(director)
    with pytest.raises(TypeError):
        director.apply([DeleteServer(KEY, RS1), DeleteService(ServiceKey(TCP, []))], 0)  # type: ignore[arg-type]
    assert listing(director) == before


def picks(director: Director, ports: range) -> list[str]:
    decisions = [director.decide(tcp(client(port), WEB), 0) for port in ports]
    return [str(decision.destination) for decision in decisions if isinstance(decision, Forward)]


def test_an_edit_of_one_service_leaves_the_turns_of_another() -> None:
    disturbed, undisturbed = published(), published()
    for director in (disturbed, undisturbed):
        picks(director, range(1, 3))
    disturbed.apply([AddService(OTHER), AddServer(OTHER, Endpoint("172.16.0.2", 443))], 0)
    assert picks(disturbed, range(3, 10)) == picks(undisturbed, range(3, 10))


def test_a_refused_edit_leaves_the_turns_too() -> None:
    disturbed, undisturbed = published(), published()
    for director in (disturbed, undisturbed):
        picks(director, range(1, 3))
    with pytest.raises(NoSuchServer):
        disturbed.apply([EditServer(KEY, RS1, weight=7), DeleteServer(KEY, RS3)], 0)
    assert picks(disturbed, range(3, 10)) == picks(undisturbed, range(3, 10))


def test_a_new_scheduler_does_not_see_earlier_changes() -> None:
    """Servers and then the scheduler, in one transaction or in two: the same turns, as with ipvsadm."""
    weights = {RS1: 1, RS2: 3, RS3: 2}
    servers = [AddServer(KEY, server, weight=weight) for server, weight in weights.items()]
    edit = EditService(KEY, scheduler="wrr")
    at_once, one_by_one = Director(), Director()
    at_once.apply([AddService(KEY, scheduler="rr"), *servers, edit], 0)
    one_by_one.apply([AddService(KEY, scheduler="rr"), *servers], 0)
    one_by_one.apply([edit], 0)
    assert picks(at_once, range(5000, 5012)) == picks(one_by_one, range(5000, 5012))


def test_a_listing_can_be_sent_as_json() -> None:
    director = published()
    picks(director, range(1, 4))
    services = json.loads(json.dumps(listing(director)))
    assert [(service["port"], service["connections"]) for service in services] == [(80, 3), (21, 0)]
    connections = [json.loads(json.dumps(connection.as_dict(0))) for connection in director.connections]
    assert {connection["state"] for connection in connections} == {"SYN_RECV"}


# ---- many rules ----


class _Compared(Endpoint):
    """Counts comparisons."""

    times = 0

    def __eq__(self, other: object) -> bool:
        _Compared.times += 1
        return super().__eq__(other)

    __hash__ = Endpoint.__hash__


def test_a_server_is_found_by_index() -> None:
    director = Director()
    director.apply([AddService(KEY)], 0.0)
    servers = [_Compared(f"172.16.{number >> 8}.{number & 255}", 80) for number in range(1, 501)]
    _Compared.times = 0
    director.apply([AddServer(KEY, server) for server in servers], 0.0)
    assert _Compared.times < 10 * len(servers)


def test_deleting_all_services_takes_proportional_memory() -> None:
    def peak(count: int) -> int:
        director = Director()
        keys = [ServiceKey(TCP, Endpoint("203.0.113.1", port)) for port in range(1, count + 1)]
        director.apply([AddService(key) for key in keys], 0.0)
        tracemalloc.start()
        director.apply([Clear()], 0.0)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # whatever is made once
    assert peak(800) < 3 * peak(400)


def test_services_added_again_get_their_servers_connections_back() -> None:
    director = Director()
    keys = [ServiceKey(TCP, Endpoint("203.0.113.1", port)) for port in (80, 443, 8080, 25)]
    director.apply(
        [
            step
            for key in keys
            for step in (AddService(key), AddServer(key, Endpoint("172.16.0.2", key.address.port)))
        ],
        0.0,
    )
    before = listing(director)
    unknown = DeleteService(ServiceKey(TCP, Endpoint("203.0.113.99", 99)))
    for commands in (
        [DeleteService(keys[1]), DeleteService(keys[0])],
        [DeleteService(keys[0]), AddService(keys[0]), DeleteService(keys[0])],
        [Clear(), AddService(keys[2])],
        [AddService(ServiceKey(TCP, Endpoint("203.0.113.9", 1))), Clear()],
    ):
        with pytest.raises(NoSuchService):
            director.apply([*commands, unknown], 0.0)
        assert listing(director) == before


@pytest.mark.parametrize("gone", [RS1, RS2, RS3])
def test_rr_continues_after_each_command(gone: Endpoint) -> None:
    """In one transaction or in many: a server added again is the first, and its turn the last."""
    changes: list[Command] = [
        DeleteServer(KEY, gone),
        AddServer(KEY, gone),
        AddServer(KEY, RS2._replace(port=8001)),
    ]
    at_once, one_by_one = Director(scheduler="rr"), Director(scheduler="rr")
    for director in (at_once, one_by_one):
        director.apply([AddService(KEY), *(AddServer(KEY, server) for server in (RS1, RS2, RS3))], 0)
        director.decide(tcp(client(1), WEB), 0)
    at_once.apply(changes, 0)
    for change in changes:
        one_by_one.apply([change], 0)
    for port in range(2, 9):
        ours, theirs = (director.decide(tcp(client(port), WEB), 0) for director in (at_once, one_by_one))
        assert ours.reasons == theirs.reasons


# ---- ipvsadm -E and --set ----


KEY = ServiceKey(TCP, WEB)


def web(director: Director) -> VirtualService:
    return next(service for service in director.rules if service.key == KEY)


def destinations(director: Director, ports: range) -> list[str]:
    decisions = [director.decide(tcp(client(port), WEB), 0) for port in ports]
    return [str(decision.destination) for decision in decisions if isinstance(decision, Forward)]


def test_another_scheduler_takes_over_the_servers() -> None:
    director = published()
    director.apply([EditService(KEY, "rr")], 0)
    assert destinations(director, range(1, 5)) == ["172.16.0.3:8000", "172.16.0.2:80"] * 2


def test_the_same_scheduler_keeps_its_position() -> None:
    edited, other = published(), published()
    for director in (edited, other):
        destinations(director, range(1, 3))
    edited.apply([EditService(KEY, "wrr", one_packet=False)], 0)
    assert destinations(edited, range(3, 9)) == destinations(other, range(3, 9))


def test_connections_stay_where_they_are() -> None:
    director = published()
    before = destinations(director, range(1, 5))
    director.apply([EditService(KEY, "sh", ("sh-port",), 60)], 0)
    after = [director.decide(tcp(client(port), WEB, ACK), 0) for port in range(1, 5)]
    assert [str(decision.destination) for decision in after if isinstance(decision, Forward)] == before


def test_a_refused_edit_leaves_all_as_it_was() -> None:
    director = published()
    before = web(director).as_dict(), web(director).scheduler
    with pytest.raises(NoSuchService):
        director.apply([EditService(KEY, "sh", persistent=9), DeleteService(ServiceKey(UDP, WEB))], 0)
    assert (web(director).as_dict(), web(director).scheduler) == before


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"scheduler": "best"}, UnknownScheduler),
        ({"scheduler": "rr", "flags": ("sh-port",)}, BadValue),
        ({"scheduler": "sh", "flags": ("sh-nosuch",)}, BadValue),
        ({"persistent": -1}, BadValue),
        ({"persistent": 31 * 24 * 3600 + 1}, BadValue),
        ({"netmask": "255.255.255.256"}, BadValue),
        ({"one_packet": True}, BadValue),
    ],
)
def test_impossible_values_are_refused(change: dict[str, Any], error: type[LvsError]) -> None:
    director = published()
    before = web(director).as_dict()
    with pytest.raises(error):
        director.apply([replace(EditService(KEY), **change)], 0)
    assert web(director).as_dict() == before


def test_a_service_for_every_port_must_be_persistent() -> None:
    key = ServiceKey(TCP, Endpoint(VIP, 0))
    director = Director()
    with pytest.raises(BadValue, match="persistent"):
        director.apply([AddService(key)], 0)
    director.apply([AddService(key, persistent=60)], 0)
    with pytest.raises(BadValue, match="persistent"):
        director.apply([EditService(key)], 0)


@pytest.mark.parametrize(
    ("method", "key", "persistent"),
    [
        (Method.NAT, ServiceKey(TCP, FTP), 0),
        (Method.TUN, ServiceKey(TCP, FTP), 300),
        (Method.DR, ServiceKey(TCP, FTP), 300),
        (Method.DR, ServiceKey(UDP, FTP), 0),
        (Method.DR, KEY, 0),
    ],
)
def test_ftp_is_persistent_by_default_in_vs_tun_and_vs_dr(
    method: Method, key: ServiceKey, persistent: int
) -> None:
    director = Director(method=method)
    director.apply([AddService(key)], 0)
    assert next(iter(director.rules)).policy.persistent == persistent


def test_unless_persistence_is_0() -> None:
    director = direct()
    director.apply([EditService(ServiceKey(TCP, FTP), persistent=0)], 0)
    assert [service.policy.persistent for service in director.rules] == [0, 0]


@pytest.mark.parametrize(
    ("name", "flags", "attributes"),
    [
        ("sh", (), (False, False)),
        ("sh", ("sh-port",), (False, True)),
        ("mh", ("mh-fallback",), (True, False)),
        ("mh", ("mh-port", "mh-fallback"), (True, True)),
    ],
)
def test_flags_reach_their_scheduler(
    name: str, flags: tuple[str, ...], attributes: tuple[bool, bool]
) -> None:
    scheduler: Any = schedulers.make(name, flags)
    assert (scheduler.fallback, scheduler.port) == attributes


def test_timeouts_are_set_and_zero_keeps_them() -> None:
    director = published()
    director.apply([SetTimeouts(tcp=100), SetTimeouts(tcpfin=50, udp=20)], 0)
    timeouts = director.rules.timeouts
    assert (timeouts.established, timeouts.fin_wait, timeouts.udp) == (100, 50, 20)
    director.decide(tcp(client(1), WEB), 0)
    director.decide(tcp(client(1), WEB, ACK), 0)
    assert director.expire(99) == 0
    assert director.expire(101) == 1


def test_a_connection_keeps_its_timeout_until_its_next_packet() -> None:
    director = published()
    for flags in (2, ACK):
        director.decide(tcp(client(1), WEB, flags), 0)
    director.apply([SetTimeouts(tcp=10)], 0)
    assert director.expire(800) == 0
    director.decide(tcp(client(1), WEB, ACK), 800)
    assert director.expire(811) == 1


@pytest.mark.parametrize("seconds", [-1, 31 * 24 * 3600 + 1])
def test_impossible_timeouts_are_refused(seconds: int) -> None:
    director = published()
    with pytest.raises(BadValue, match="timeout"):
        director.apply([SetTimeouts(tcp=5), SetTimeouts(udp=seconds)], 0)
    assert director.rules.timeouts.established == 900
