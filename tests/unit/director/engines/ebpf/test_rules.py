"""Services and real servers in the program's tables, written and read back."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.director import Director
from director.core.schedulers import rr, wrr
from director.engines.ebpf import shapes
from director.engines.ebpf.rules import Rules
from director.engines.ebpf.servers import Servers
from director.engines.engine import EngineError
from tests.unit.director.core.support import RS1, RS2, RS3, WEB, client, rules, tcp
from tests.unit.director.engines.ebpf.support import FakeMap

KEY = shapes.SERVICE_KEY.pack(shapes.address(WEB.address), shapes.port(WEB.port), 6)


class Kept:
    """The maps that a program would have; a director, its rules written into them."""

    def __init__(self, maps: dict[str, FakeMap] | None = None, **options: Any) -> None:
        self.maps = maps or {name: FakeMap() for name in ("services", "members", "servers", "counted")}
        self.director = Director(**options)
        self.director.apply(rules(WEB, (RS1, 1), (RS2, 2), (RS3, 1)), 0.0)
        self.servers = Servers(self.maps)  # type: ignore[arg-type]
        self.rules = Rules(self.maps, self.servers)  # type: ignore[arg-type]

    @property
    def service(self) -> Any:
        (service,) = self.director.services
        return service

    def write(self) -> None:
        self.rules.write(self.director.services, lambda _address: "0.0.0.0")

    def value(self) -> tuple[Any, ...]:
        return shapes.SERVICE.unpack(self.maps["services"].entries[KEY])


def test_servers_keep_their_numbers() -> None:
    kept = Kept()
    kept.write()
    numbers = {server.address: number for number, _, server in kept.servers.all()}
    assert sorted(numbers.values()) == [0, 1, 2]
    kept.write()
    assert numbers == {server.address: number for number, _, server in kept.servers.all()}


def test_a_number_is_free_when_nobody_refers_to_the_server_any_more() -> None:
    kept = Kept()
    kept.write()
    gone = kept.service.servers.pop()
    number = kept.servers.number_of(gone)
    gone.inactive = 1
    kept.maps["counted"].clear_per_processor = lambda _number: None  # type: ignore[attr-defined]
    kept.write()
    assert kept.servers.at(number)[1] is gone
    gone.inactive = 0
    kept.write()
    assert number not in [one for one, _, _ in kept.servers.all()]


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
    after.rules.adopt(after.director.services)
    old, new = before.service.scheduler, after.service.scheduler
    if isinstance(old, rr.Scheduler):
        assert new.last == old.last != -1
    else:
        assert isinstance(old, wrr.Scheduler)
        assert (new.place, new.bar) == (old.place, old.bar)
        assert (new.place, new.bar) != (Kept(scheduler=scheduler).service.scheduler.place, 0)
