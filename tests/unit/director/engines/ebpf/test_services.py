"""Services and real servers in the program's tables, written and read back."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.commands import DeleteService, ServiceKey
from director.core.director import Director
from director.core.packet import Endpoint
from director.core.schedulers import rr, wrr
from director.engines.ebpf import layouts
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.servers import Servers
from director.engines.ebpf.services import Services
from director.engines.engine import EngineError
from tests.unit.director.core.support import RS1, RS2, RS3, WEB, client, rules, tcp
from tests.unit.director.engines.ebpf.support import FakeMap

KEY = layouts.SERVICE_KEY.pack(layouts.address(WEB.address), layouts.port(WEB.port), 6)


class Kept:
    """The maps that a program would have; a director, its rules written into them."""

    def __init__(self, maps: dict[str, FakeMap] | None = None, **options: Any) -> None:
        names = ("services", "members", "servers", "server_stats", "core_stats")
        self.maps = maps or {name: FakeMap() for name in names}
        self.director = Director(**options)
        self.director.apply(rules(WEB, (RS1, 1), (RS2, 2), (RS3, 1)), 0.0)
        self.servers = Servers(self.maps)  # type: ignore[arg-type]
        self.services = Services(self.maps, self.servers)  # type: ignore[arg-type]

    @property
    def service(self) -> Any:
        (service,) = self.director.rules
        return service

    def write(self) -> None:
        self.services.write(self.director.rules, lambda _address: "0.0.0.0")

    def value(self) -> tuple[Any, ...]:
        return layouts.SERVICE.unpack(self.maps["services"].entries[KEY])


def test_servers_keep_their_numbers() -> None:
    kept = Kept()
    kept.write()
    numbers = {server.address: number for number, _, server in kept.servers.numbered()}
    assert sorted(numbers.values()) == [0, 1, 2]
    kept.write()
    assert numbers == {server.address: number for number, _, server in kept.servers.numbered()}


def test_a_number_is_free_when_nobody_refers_to_the_server_any_more() -> None:
    kept = Kept()
    kept.write()
    gone = kept.service.servers.pop()
    number = kept.servers.number_of(gone)
    gone.inactive = 1
    kept.write()
    assert kept.servers.at(number)[1] is gone
    gone.inactive = 0
    kept.write()
    assert number not in [one for one, _, _ in kept.servers.numbered()]


def test_too_many_servers_are_refused() -> None:
    kept = Kept({**Kept().maps, "servers": FakeMap(2)})
    with pytest.raises(EngineError, match="room for 2 real servers"):
        kept.write()


@pytest.mark.parametrize("scheduler", ["rr", "wrr"])
def test_the_next_director_goes_on_where_the_turns_were(scheduler: str) -> None:
    before = Kept(scheduler=scheduler)
    before.write()
    for port in range(4):
        before.director.decide(tcp(client(2000 + port), WEB), 0.0)
    before.write()
    after = Kept(before.maps, scheduler=scheduler)
    after.services.adopt(after.director.rules)
    old, new = before.service.scheduler, after.service.scheduler
    if isinstance(old, rr.Scheduler):
        assert new.position == old.position != -1
    else:
        assert isinstance(old, wrr.Scheduler)
        assert (new.position, new.current_weight) == (old.position, old.current_weight)
        assert (new.position, new.current_weight) != (Kept(scheduler=scheduler).service.scheduler.position, 0)


def written(kept: Kept) -> tuple[object, ...]:
    """What the program sees: services, and the places of the servers that they name."""
    maps = kept.maps
    members = kept.services._members[:].hex()
    half = len(members) // 2
    live = members[half:] if kept.services._upper_half else members[:half]
    numbers = {number: server for number, _, server in kept.servers.numbered()}
    return dict(maps["services"].entries), live, kept.servers._memory[:], numbers


@pytest.mark.parametrize("room", ["services", "members", "servers"])
def test_where_there_is_no_room_nothing_is_changed(room: str) -> None:
    sizes = {"services": 2, "members": 16, "servers": 4}
    maps = {
        name: FakeMap(sizes[name] if name == room else 1000)
        for name in (*sizes, "server_stats", "core_stats")
    }
    kept = Kept(maps, scheduler="rr")
    kept.write()
    before, turns = written(kept), kept.services._scheduled.copy()
    more = [Endpoint("203.0.113.1", port) for port in range(81, 84)]
    kept.director.apply([one for at in more for one in rules(at, (RS1, 1), (RS2, 1))], 0.0)
    for _ in range(2):
        with pytest.raises(EngineError, match="room for"):
            kept.write()
        assert written(kept) == before
        assert kept.services._scheduled == turns
    kept.director.apply([DeleteService(ServiceKey(6, at)) for at in more], 0.0)
    kept.write()
    assert {server.address for _, _, server in kept.servers.numbered()} == {RS1, RS2, RS3}


def test_what_could_not_be_written_is_put_right_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(scheduler="rr")
    kept.write()
    keys = kept.maps["services"].entries.keys()
    change = kept.director.prepare(rules(WEB._replace(port=81), (RS1, 1)), 0.0)

    def full(_key: bytes, _value: bytes) -> None:
        raise BpfError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(kept.maps["services"], "put", full)
        with pytest.raises(EngineError, match="out of memory"):
            kept.write()
    change.roll_back()
    kept.write()
    assert kept.maps["services"].entries.keys() == keys
    first, size = kept.value()[2:4]
    numbers = [kept.servers.number_of(server) for server in kept.service.servers]
    assert list(memoryview(kept.services._members[:]).cast("Q")[first : first + size]) == numbers
