"""Services and real servers in the program's maps, written and read back."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.commands import DeleteServer, DeleteService, ServiceKey
from director.core.director import Director
from director.core.family import IPV4
from director.core.packet import Endpoint
from director.core.schedulers import rr, wrr
from director.engines.ebpf import layouts
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.servers import Servers
from director.engines.ebpf.services import Services
from director.engines.engine import EngineError
from tests.unit.director.core.support import RS1, RS2, RS3, WEB, activated, client, tcp
from tests.unit.director.core.support import rules as commands_for
from tests.unit.director.engines.ebpf.support import FakeMap

KEY = layouts.service_key(WEB, 6)


class Rules:
    """A director with one service of three servers, and the maps that its rules are written to."""

    def __init__(self, maps: dict[str, FakeMap] | None = None, **options: Any) -> None:
        names = ("services", "members", "servers", "server_stats", "core_stats")
        self.maps = maps or {name: FakeMap() for name in names}
        self.director = Director(**options)
        self.director.apply(commands_for(WEB, (RS1, 1), (RS2, 2), (RS3, 1)), 0.0)
        self.servers = Servers(self.maps)  # type: ignore[arg-type]
        self.services = Services(self.maps, self.servers)

    @property
    def service(self) -> Any:
        (service,) = self.director.rules
        return service

    def write(self) -> None:
        self.services.write(self.director.rules, lambda _address: "0.0.0.0")

    def value(self) -> tuple[Any, ...]:
        return layouts.OF[IPV4].service.unpack(self.maps["services"].entries[KEY])


def test_servers_keep_their_numbers() -> None:
    rules = Rules()
    rules.write()
    numbers = {server.address: number for number, _, server in rules.servers.numbered()}
    assert sorted(numbers.values()) == [0, 1, 2]
    rules.write()
    assert numbers == {server.address: number for number, _, server in rules.servers.numbered()}


def test_a_number_is_freed_when_nothing_refers_to_its_server() -> None:
    rules = Rules()
    rules.write()
    gone = rules.service.servers.pop()
    number = rules.servers.number_of(gone)
    gone.inactive = 1
    rules.write()
    assert rules.servers.at(number)[1] is gone
    gone.inactive = 0
    rules.write()
    assert number not in [taken for taken, _, _ in rules.servers.numbered()]


def test_too_many_servers_are_refused() -> None:
    rules = Rules({**Rules().maps, "servers": FakeMap(2)})
    with pytest.raises(EngineError, match="room for 2 real servers"):
        rules.write()


@pytest.mark.parametrize("scheduler", ["rr", "wrr"])
def test_the_next_director_continues_from_the_scheduler_positions(scheduler: str) -> None:
    before = Rules(scheduler=scheduler)
    before.write()
    for port in range(4):
        before.director.decide(tcp(client(2000 + port), WEB), 0.0)
    before.write()
    after = Rules(before.maps, scheduler=scheduler)
    after.services.adopt(after.director.rules)
    old, new = before.service.scheduler, after.service.scheduler
    if isinstance(old, rr.Scheduler):
        assert new.position == old.position != -1
    else:
        assert isinstance(old, wrr.Scheduler)
        assert (new.position, new.current_weight) == (old.position, old.current_weight)
        assert (new.position, new.current_weight) != (
            Rules(scheduler=scheduler).service.scheduler.position,
            0,
        )


def written(rules: Rules) -> tuple[object, ...]:
    """What the program sees: services, their members and their servers."""
    maps = rules.maps
    members = rules.services._members[:].hex()
    half = len(members) // 2
    live = members[half:] if rules.services._upper_half else members[:half]
    numbers = {number: server for number, _, server in rules.servers.numbered()}
    return dict(maps["services"].entries), live, rules.servers._memory[:], numbers


@pytest.mark.parametrize("room", ["services", "members", "servers"])
def test_nothing_changes_where_a_map_is_too_small(room: str) -> None:
    sizes = {"services": 2, "members": 16, "servers": 4}
    maps = {
        name: FakeMap(sizes[name] if name == room else 1000)
        for name in (*sizes, "server_stats", "core_stats")
    }
    rules = Rules(maps, scheduler="rr")
    rules.write()
    before, turns = written(rules), rules.services._scheduled.copy()
    more = [Endpoint("203.0.113.1", port) for port in range(81, 84)]
    rules.director.apply([command for at in more for command in commands_for(at, (RS1, 1), (RS2, 1))], 0.0)
    for _ in range(2):
        with pytest.raises(EngineError, match="room for"):
            rules.write()
        assert written(rules) == before
        assert rules.services._scheduled == turns
    rules.director.apply([DeleteService(ServiceKey(6, at)) for at in more], 0.0)
    rules.write()
    assert {server.address for _, _, server in rules.servers.numbered()} == {RS1, RS2, RS3}


def members(rules: Rules) -> list[int]:
    """The numbers of the servers among which the program chooses."""
    first, size = rules.value()[2:4]
    return list(memoryview(rules.services._members[:]).cast("Q")[first : first + size])


def test_a_write_that_failed_changes_nothing_and_the_next_one_repairs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = Rules(scheduler="rr")
    rules.write()
    keys, before = rules.maps["services"].entries.keys(), members(rules)
    more = commands_for(WEB._replace(port=81), (RS1, 1))
    transaction = activated(rules.director, [DeleteServer(ServiceKey(6, WEB), RS2), *more])

    def full(_key: bytes, _value: bytes) -> None:
        raise BpfError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(rules.maps["services"], "put", full)
        with pytest.raises(EngineError, match="out of memory"):
            rules.write()
    assert members(rules) == before
    rules.director.roll_back(transaction)
    rules.write()
    assert rules.maps["services"].entries.keys() == keys
    assert members(rules) == [rules.servers.number_of(server) for server in rules.service.servers]
