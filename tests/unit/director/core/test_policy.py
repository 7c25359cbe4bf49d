"""ipvsadm -E and --set: a service and the timeouts change, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from director.core import schedulers
from director.core.commands import AddService, DeleteService, EditService, ServiceKey, SetTimeouts
from director.core.decision import Forward
from director.core.director import Director
from director.core.errors import BadValue, LvsError, NoSuchService, UnknownScheduler
from director.core.packet import ACK, TCP, UDP, Endpoint
from director.core.real_server import Method
from director.core.service import VirtualService
from tests.unit.director.core.support import FTP, VIP, WEB, client, direct, published, tcp

KEY = ServiceKey(TCP, WEB)


def web(director: Director) -> VirtualService:
    return next(service for service in director.rules if service.key == KEY)


def destinations(director: Director, ports: range) -> list[str]:
    decisions = [director.decide(tcp(client(port), WEB), 0) for port in ports]
    return [str(one.destination) for one in decisions if isinstance(one, Forward)]


def test_another_scheduler_takes_over_the_servers() -> None:
    director = published()
    director.apply([EditService(KEY, "rr")], 0)
    assert destinations(director, range(1, 5)) == ["172.16.0.3:8000", "172.16.0.2:80"] * 2


def test_the_same_scheduler_keeps_its_turn() -> None:
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
    assert [str(one.destination) for one in after if isinstance(one, Forward)] == before


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
def test_what_makes_no_sense_is_refused(change: dict[str, Any], error: type[LvsError]) -> None:
    director = published()
    before = web(director).as_dict()
    with pytest.raises(error):
        director.apply([replace(EditService(KEY), **change)], 0)
    assert web(director).as_dict() == before


def test_a_service_on_every_port_has_to_be_persistent() -> None:
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
def test_ftp_is_persistent_by_itself_where_its_replies_are_not_seen(
    method: Method, key: ServiceKey, persistent: int
) -> None:
    director = Director(method=method)
    director.apply([AddService(key)], 0)
    assert next(iter(director.rules)).policy.persistent == persistent


def test_unless_somebody_says_no() -> None:
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


def test_a_connection_keeps_the_time_it_has_until_its_next_packet() -> None:
    director = published()
    for flags in (2, ACK):
        director.decide(tcp(client(1), WEB, flags), 0)
    director.apply([SetTimeouts(tcp=10)], 0)
    assert director.expire(800) == 0
    director.decide(tcp(client(1), WEB, ACK), 800)
    assert director.expire(811) == 1


@pytest.mark.parametrize("seconds", [-1, 31 * 24 * 3600 + 1])
def test_timeouts_that_make_no_sense(seconds: int) -> None:
    director = published()
    with pytest.raises(BadValue, match="timeout"):
        director.apply([SetTimeouts(tcp=5), SetTimeouts(udp=seconds)], 0)
    assert director.rules.timeouts.established == 900
