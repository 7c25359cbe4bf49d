"""What stands between client and server, and what is measured: the registries and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from bench import contenders, measures, rounds, testbed
from bench.figures import Results
from bench.measures import Measure, wrk
from director.core.family import IPV4, IPV6
from labs.errors import BuildFailed
from labs.methods import METHODS

OUTPUT = """Running 3s test @ http://203.0.113.1:80/
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   241.15us   71.41us   1.92ms   93.27%
  Latency Distribution
     50%  230.00us
     99%    1.52ms
Requests/sec:   4071.28
"""


def test_numbers_of_wrk() -> None:
    assert wrk.number_after("50%", OUTPUT) == 230
    assert wrk.number_after("99%", OUTPUT) == 1520
    assert wrk.number_after("Requests/sec:", OUTPUT) == 4071.28


def test_a_missing_number_is_an_error() -> None:
    with pytest.raises(BuildFailed, match="no number after '75%'"):
        wrk.number_after("75%", OUTPUT)


def test_measures_have_figures_of_their_own() -> None:
    assert measures.names() == ("throughput", "segments", "packets", "connections", "latency")
    figures = [figure for name in measures.names() for figure in measures.get(name).figures]
    assert len(figures) == len(set(figures)) == len(measures.figures()) == 8


def test_contenders_are_in_the_order_of_the_tables() -> None:
    assert contenders.names()[:3] == ("direct", "redirect", "router")
    assert set(contenders.usual()[3:]) == {
        *("ipvs", "ebpf", "ebpf_short_cut", "nftables", "haproxy", "nginx", "scapy")
    }
    over_ipv6 = {"direct_ipv6", "ipvs_ipv6", "ebpf_ipv6"}
    assert set(contenders.names()) - set(contenders.usual()) == over_ipv6
    assert set(contenders.of_family(6)) == over_ipv6
    assert contenders.of_family(46) == contenders.names()


@pytest.mark.parametrize("name", contenders.names())
def test_every_contender_is_described(name: str) -> None:
    contender = contenders.get(name)
    assert contender.about
    assert set(contender.methods) <= set(METHODS)
    assert set(contender.lacks) <= set(measures.names())
    assert isinstance(contender.obstacle(), str)


def test_what_a_contender_lacks_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> dict[str, float]:
        raise AssertionError

    packets = Measure("packets", measures.get("packets").figures, never)
    monkeypatch.setattr(measures, "get", lambda _: packets)
    results = Results({}, {})
    nowhere: Any = None
    rounds._measure("packets", nowhere, 1, (0, "nat", "haproxy"), results)
    assert [(entry["figure"], entry["why"]) for entry in results.missing] == [
        ("packets", "HAProxy forwards no UDP"),
        ("cpu", "HAProxy forwards no UDP"),
    ]


def test_rules_of_both_families_differ_in_their_addresses_only() -> None:
    ipv4, ipv6 = (testbed.ADDRESSES[family] for family in (IPV4, IPV6))
    lines = "\n".join(testbed.rules("nat")).replace(ipv4.vip, f"[{ipv6.vip}]")
    assert lines.replace(ipv4.server, f"[{ipv6.server}]").splitlines() == testbed.rules("nat", IPV6)
    assert ipv6.vip in lines
    assert f"-r {ipv4.server}:80 -m" in "\n".join(testbed.rules("nat"))
