"""Our director does with generated connections of IPv6 what kernel IPVS did: oracle/ipv6_generated.py."""

from __future__ import annotations

import pytest

from oracle import ipv6_generated
from oracle.in_process import IPv6InProcessDirector
from oracle.ipv6_generated import METHODS, plain, play, scenarios, unlike

LEAST = {"nat": 100, "dr": 1000, "tun": 200, "tun4": 2000}  # connections


@pytest.mark.parametrize("method", METHODS)
def test_the_director_does_what_the_kernel_did(method: str) -> None:
    director = IPv6InProcessDirector("nat")
    recorded = {one["name"]: one for one in ipv6_generated.read(method)["scenarios"]}
    different, connections = [], 0
    for place, scenario in enumerate(scenarios(method)):
        if scenario.name not in recorded:
            continue
        director.wait(1)  # a director may send so many ICMP errors in a second
        result = play(method, scenario, place, director)
        connections += len(result.table)
        found = unlike(recorded.pop(scenario.name), plain(scenario, result), result.sent)
        if found:
            different.append(f"{method} {scenario.name}: {found}")
    assert not different, f"{len(different)} differ\n" + "\n".join(different[:3])
    assert not recorded, f"recorded, but gone: {sorted(recorded)}"
    assert connections > LEAST[method]
