"""The kernel's routes in the program's map: it may not find others than the kernel would."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any, cast

import pytest

from director.core.family import IPV4, IPV6, Family
from director.engines import interfaces
from director.engines.ebpf import layouts, network
from director.engines.ebpf.network import Network
from director.engines.interfaces import Route
from tests.unit.director.engines.ebpf.support import FakeMap

OURS, OTHER, NOWHERE = 2, 3, 0  # interface indexes
KERNELS = {
    IPV4: ["0.0.0.0/0 2 9", "10.0.0.0/8 2 0", "10.1.0.0/16 3 0", "10.2.0.0/16 0 0", "10.3.0.0/16 3 5"],
    IPV6: ["::/0 2 1024", "2001:db8::/32 3 256", "fe80::/64 3 256", "fe80::/64 2 256", "::/0 0 4294967295"],
}


class Generation:
    count = 0

    def bump_generation(self) -> None:
        self.count += 1


def kernels(family: Family) -> Iterator[Route]:
    for line in KERNELS[family]:
        text, index, metric = line.split()
        found = ip_network(text)
        gateway = bytes(family.bits // 8)
        yield Route(found.prefixlen, found.network_address.packed, int(index), gateway, int(metric))


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(network, "routes", kernels)
    monkeypatch.setattr(network, "neighbours", lambda _family: iter(()))
    monkeypatch.setattr(interfaces, "index_of", lambda _name: OURS)
    monkeypatch.setattr(interfaces, "mac_of", lambda _name: b"\2\0\0\0\0\1")
    monkeypatch.setattr(interfaces, "mtu_of", lambda _name: 1400)
    return {"routes": FakeMap(), "neighbours": FakeMap()}


def written(maps: dict[str, Any], text: str) -> int:
    """The interface index of a route in the map."""
    value = maps["routes"].entries[layouts.prefix(text)]
    return int.from_bytes(value[:4], "little")


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
