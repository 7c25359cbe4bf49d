"""The kernel's routes in the program's map: it may not find others than the kernel would."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any, cast

import pytest

from director.core.family import IPV4, IPV6, Family
from director.engines import interfaces
from director.engines.ebpf import layouts, network
from director.engines.ebpf.network import Network
from director.engines.rtnetlink import Route
from director.engines.scapy.fake import FakeWire
from director.engines.scapy.next_hops import NextHop
from tests.unit.director.engines.ebpf.support import FakeMap

OURS, OTHER, NOWHERE = 2, 3, 0  # interface indexes
KERNELS = {
    IPV4: [
        *("0.0.0.0/0 2 9", "10.0.0.0/8 2 0", "10.1.0.0/16 3 0", "10.2.0.0/16 0 0", "10.3.0.0/16 3 5"),
        *("10.4.0.0/16 2 0 1300", "10.5.0.0/16 2 0 9000"),
    ],
    IPV6: ["::/0 2 1024", "2001:db8::/32 3 256", "fe80::/64 3 256", "fe80::/64 2 256", "::/0 0 4294967295"],
}


class Generation:
    count = 0

    def bump_generation(self) -> None:
        self.count += 1

    def set_neighbours_valid_until(self, _when: int) -> None:
        pass


def kernels(family: Family) -> Iterator[Route]:
    for line in KERNELS[family]:
        text, index, metric, *more = line.split()
        found, gateway, mtu = ip_network(text), bytes(family.bits // 8), int(more[0]) if more else 0
        yield Route(found.prefixlen, found.network_address.packed, int(index), gateway, int(metric), mtu)


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(network, "routes", kernels)
    monkeypatch.setattr(network, "neighbours", lambda _family: iter(()))
    monkeypatch.setattr(network, "has_routing_policy", lambda _family: False)
    monkeypatch.setattr(interfaces, "index_of", lambda _name: OURS)
    monkeypatch.setattr(interfaces, "mac_of", lambda _name: b"\2\0\0\0\0\1")
    monkeypatch.setattr(interfaces, "mtu_of", lambda _name: 1400)
    return {"routes": FakeMap(), "neighbours": FakeMap()}


def written(maps: dict[str, Any], text: str) -> int:
    """The interface index of a route in the map."""
    return int.from_bytes(maps["routes"].entries[layouts.prefix(text)][:4], "little")


def mtu(maps: dict[str, Any], text: str) -> int:
    return int.from_bytes(maps["routes"].entries[layouts.prefix(text)][-2:], "little")


def test_a_route_over_another_interface_hides_the_larger_network(maps: dict[str, Any]) -> None:
    made = Network(maps, cast(Any, Generation()), ["d-eth0"], lambda _address: None)
    made.use(IPV6)
    places = {text: written(maps, text) for text in ("0.0.0.0/0", "10.0.0.0/8", "::/0", "fe80::/64")}
    assert places == dict.fromkeys(places, OURS)
    hidden = ("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "2001:db8::/32")
    assert [written(maps, text) for text in hidden] == [NOWHERE] * len(hidden)
    made.close()


def test_where_not_all_fit_the_core_finds_all(maps: dict[str, Any]) -> None:
    maps["routes"] = FakeMap(4)
    made = Network(maps, cast(Any, Generation()), ["d-eth0"], lambda _address: None)
    made.refresh()
    assert maps["routes"].entries == {}
    made.close()


def test_an_interface_that_was_replaced_is_found_by_its_new_index(
    maps: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Generation()
    made = Network(maps, cast(Any, settings), ["d-eth0"], lambda _address: None)
    made.refresh()
    monkeypatch.setattr(interfaces, "index_of", lambda _name: 7)
    monkeypatch.setitem(KERNELS, IPV4, ["10.0.0.0/8 7 0"])
    made.refresh()
    assert written(maps, "10.0.0.0/8") == 7
    assert settings.count == 2
    made.close()


def test_a_routes_own_mtu_counts_if_it_is_smaller(maps: dict[str, Any]) -> None:
    made = Network(maps, cast(Any, Generation()), ["d-eth0"], lambda _address: None)
    made.refresh()
    assert [mtu(maps, text) for text in ("10.0.0.0/8", "10.4.0.0/16", "10.5.0.0/16")] == [1400, 1300, 1400]
    made.close()


def test_with_routing_rules_the_program_has_what_the_core_has_found(
    maps: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main table is not the whole truth then; the other family goes by it as before."""
    wire = FakeWire("d-eth0", "02:00:00:00:00:01", "203.0.113.2", 1400)
    found = {
        "10.0.0.7": NextHop(wire, "203.0.113.2", "203.0.113.9", 1350),
        "2001:db8::7": NextHop(wire, "fd00::2", "2001:db8::7"),
    }
    settings = Generation()
    made = Network(maps, cast(Any, settings), ["d-eth0"], found.get)
    made.use(IPV6)
    routes = cast(Any, SimpleNamespace(found=found))
    made.tick(routes)
    assert settings.count == 1  # nothing to learn
    monkeypatch.setattr(network, "has_routing_policy", lambda family: family is IPV4)
    made.refresh()
    assert {len(key) for key in maps["routes"].entries} == {layouts.OF[IPV6].prefix.size}
    made.tick(routes)
    assert layouts.prefix("2001:db8::7") not in maps["routes"].entries
    assert (written(maps, "10.0.0.7"), mtu(maps, "10.0.0.7")) == (OURS, 1350)
    made.learn({"10.0.0.7": 1200})
    assert mtu(maps, "10.0.0.7") == 1200
    made.learn({})
    made.tick(cast(Any, SimpleNamespace(found={})))
    assert layouts.prefix("10.0.0.7") not in maps["routes"].entries
    assert settings.count == 6
    made.close()
