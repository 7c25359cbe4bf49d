"""Each scheduler, compared with an independent statement of its rule."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core import schedulers
from director.core.commands import AddServer, AddService, Command, ServiceKey
from director.core.decision import Forward
from director.core.director import Director
from director.core.errors import UnknownScheduler
from director.core.family import Family
from director.core.packet import TCP, Endpoint
from director.core.real_server import Method, RealServer
from director.core.schedulers import dh, mh, rr, sh, twos, wrr
from director.core.schedulers._hash import fold
from tests.unit.director.core.support import WEB, client, tcp

PACKET = tcp(client(1), WEB)
clients = st.builds(lambda number: f"198.51.{number // 256}.{number % 256}", st.integers(0, 65535))
weights = st.lists(st.integers(0, 12), min_size=1, max_size=8)
loads = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(0, 600)), min_size=1, max_size=8)


def servers_of(weights: list[int]) -> list[RealServer]:
    return [RealServer(Endpoint(f"192.0.2.{n}", 80), w, Method.DR) for n, w in enumerate(weights, 1)]


def loaded(loads: list[tuple[int, int, int]]) -> list[RealServer]:
    servers = servers_of([weight for weight, _, _ in loads])
    for server, (_, active, inactive) in zip(servers, loads, strict=True):
        server.active, server.inactive = active, inactive
    return servers


def picks(name: str, servers: list[RealServer], count: int) -> list[int | None]:
    """The positions of the servers picked, None where none was."""
    scheduler = schedulers.make(name)
    scheduler.changed(servers)
    chosen = (scheduler.pick(servers, PACKET, 0.0) for _ in range(count))
    return [servers.index(pick[0]) if pick else None for pick in chosen]


def test_schedulers_are_found_by_their_files() -> None:
    expected = "dh fo lblc lblcr lc mh nq ovf rr sed sh twos wlc wrr"
    assert " ".join(schedulers.names()) == expected
    assert not [name for name in schedulers.names() if name.startswith("_")]


def test_an_unknown_scheduler_is_refused_with_the_choices() -> None:
    with pytest.raises(UnknownScheduler, match=r"not found: 'random'; choose from .*rr"):
        schedulers.make("random")


@pytest.mark.parametrize("name", schedulers.names())
def test_without_an_available_server_none_is_picked(name: str) -> None:
    assert picks(name, servers_of([0, 0]), 3) == [None] * 3
    assert picks(name, [], 1) == [None]


@given(weights=weights)
def test_weight_zero_is_never_picked(weights: list[int]) -> None:
    for name in schedulers.names():
        for place in picks(name, servers_of(weights), 20):
            assert place is None or weights[place] > 0, name


@given(weights=weights)
def test_rr_gives_every_server_the_same(weights: list[int]) -> None:
    able = [place for place, weight in enumerate(weights) if weight]
    expected = (able * 3)[: 3 * len(able)]
    assert picks("rr", servers_of(weights), 3 * len(able)) == expected


def test_wrr_in_the_order_of_the_kernel() -> None:
    order = picks("wrr", servers_of([4, 3, 2]), 9)
    assert "".join("ABC"[place] for place in order if place is not None) == "AABABCABC"


@given(weights=weights.filter(any), start=st.integers(0, 20))
def test_wrr_gives_by_weight_in_every_round(weights: list[int], start: int) -> None:
    divisor = math.gcd(*weights)
    round_length = sum(weights) // divisor
    chosen = picks("wrr", servers_of(weights), start + round_length)[start:]
    assert Counter(chosen) == {p: w // divisor for p, w in enumerate(weights) if w}


@given(loads=loads)
def test_lc_picks_the_first_of_the_least(loads: list[tuple[int, int, int]]) -> None:
    load = {p: 256 * active + idle for p, (weight, active, idle) in enumerate(loads) if weight}
    expected = min(load, key=lambda place: (load[place], place)) if load else None
    assert picks("lc", loaded(loads), 1) == [expected]


@pytest.mark.parametrize("name", ["lc", "wlc"])
def test_an_active_connection_weighs_as_much_as_256_others(name: str) -> None:
    assert picks(name, loaded([(1, 1, 0), (1, 0, 255)]), 1) == [1]
    assert picks(name, loaded([(1, 0, 257), (1, 1, 0)]), 1) == [1]


@given(loads=loads)
def test_wlc_picks_the_first_of_the_least_per_weight(loads: list[tuple[int, int, int]]) -> None:
    load = {p: Fraction(256 * active + idle, w) for p, (w, active, idle) in enumerate(loads) if w}
    expected = min(load, key=lambda place: (load[place], place)) if load else None
    assert picks("wlc", loaded(loads), 1) == [expected]


@given(before=weights.filter(any), after=weights.filter(any), taken=st.integers(0, 30))
def test_wrr_continues_after_a_change_of_weights(before: list[int], after: list[int], taken: int) -> None:
    scheduler = schedulers.make("wrr")
    scheduler.changed(servers_of(before))
    for _ in range(taken):
        scheduler.pick(servers_of(before), PACKET, 0.0)
    servers = servers_of(after)
    scheduler.changed(servers)
    chosen = Counter(
        servers.index(pick[0])
        for _ in range(3 * sum(after))
        if (pick := scheduler.pick(servers, PACKET, 0.0))
    )
    assert set(chosen) == {place for place, weight in enumerate(after) if weight}


def server_for(name: str, servers: list[RealServer], address: str) -> RealServer | None:
    scheduler = schedulers.make(name)
    scheduler.changed(servers)
    pick = scheduler.pick(servers, tcp(client(1, address), WEB), 0.0)
    return pick[0] if pick else None


@given(loads=loads)
def test_sed_picks_the_first_of_the_shortest_expected_delay(loads: list[tuple[int, int, int]]) -> None:
    delay = {p: Fraction(active + 1, w) for p, (w, active, _) in enumerate(loads) if w}
    expected = min(delay, key=lambda place: (delay[place], place)) if delay else None
    assert picks("sed", loaded(loads), 1) == [expected]


@given(loads=loads)
def test_nq_picks_an_idle_server_or_as_sed(loads: list[tuple[int, int, int]]) -> None:
    idle = [place for place, (weight, active, _) in enumerate(loads) if weight and not active]
    assert picks("nq", loaded(loads), 1) == (idle[:1] or picks("sed", loaded(loads), 1))


@given(weights=weights)
def test_fo_picks_the_first_of_the_highest_weight(weights: list[int]) -> None:
    expected = weights.index(max(weights)) if any(weights) else None
    assert picks("fo", servers_of(weights), 2) == [expected] * 2


@given(loads=loads)
def test_ovf_picks_the_first_of_the_highest_weight_with_room(loads: list[tuple[int, int, int]]) -> None:
    roomy = [(-w, place) for place, (w, active, _) in enumerate(loads) if w and active <= w]
    assert picks("ovf", loaded(loads), 1) == [min(roomy)[1] if roomy else None]


@given(loads=loads)
def test_twos_never_takes_the_heaviest_of_two(loads: list[tuple[int, int, int]]) -> None:
    """The lighter of two servers gets clearly more, even if the first is drawn twice as often."""
    servers = loaded([(1, active, idle) for _, active, idle in loads[:2]])
    counts = Counter(picks("twos", servers, 500))
    if len(servers) == 2 and servers[0].overhead != servers[1].overhead:
        lighter = min((0, 1), key=lambda place: servers[place].overhead)
        assert counts[lighter] > counts[1 - lighter]
    assert sum(counts.values()) == 500


def test_twos_is_the_same_in_every_run() -> None:
    assert picks("twos", servers_of([1, 2, 3]), 50) == picks("twos", servers_of([1, 2, 3]), 50)


def test_twos_draws_differently_with_another_seed() -> None:
    servers = servers_of([1, 2, 3])
    one, same, other = (
        [scheduler.pick(servers, PACKET, 0.0) for _ in range(50)]
        for scheduler in (twos.Scheduler(seed=7), twos.Scheduler(seed=7), twos.Scheduler(seed=8))
    )
    assert one == same != other


def test_twos_gives_by_weight_while_all_are_idle() -> None:
    """On a tie the first draw counts; the first server has one chance more, as in the kernel."""
    counts = Counter(picks("twos", servers_of([1, 2, 0, 3]), 7000))
    expected = {0: 2000, 1: 2000, 3: 3000}
    assert counts == {place: pytest.approx(number, abs=120) for place, number in expected.items()}  # 3 sigma


@pytest.mark.parametrize("name", ["sh", "mh"])
def test_a_client_gets_the_same_server_again(name: str) -> None:
    servers, directors = servers_of([1, 2, 3]), [schedulers.make(name) for _ in range(2)]
    for scheduler in directors:
        scheduler.changed(servers)

    @given(address=clients)
    def check(address: str) -> None:
        packet = tcp(client(1, address), WEB)
        one, other = (scheduler.pick(servers, packet, 0.0) for scheduler in directors)
        assert one is not None
        assert one == other

    check()


@given(address=clients)
def test_dh_does_not_look_at_the_client(address: str) -> None:
    here, there = (server_for("dh", servers_of([1, 2, 3]), a) for a in (address, "198.51.100.1"))
    assert here is not None
    assert there is not None
    assert here.address == there.address


def places_of(name: str, servers: list[RealServer]) -> list[RealServer]:
    addresses = [f"198.51.{n // 256}.{n % 256}" for n in range(2000)]
    scheduler = schedulers.make(name)
    scheduler.changed(servers)
    chosen = (scheduler.pick(servers, tcp(client(1, address), WEB), 0.0) for address in addresses)
    return [pick[0] for pick in chosen if pick]


@pytest.mark.parametrize("name", ["sh", "mh"])
def test_clients_are_spread_by_weight(name: str) -> None:
    servers = servers_of([1, 1, 2])
    counts = Counter(places_of(name, servers))
    for server in servers:
        assert counts[server] == pytest.approx(500 * server.weight, rel=0.25)


@pytest.mark.parametrize("gone", range(10))
def test_mh_moves_few_clients_when_one_of_ten_servers_goes(gone: int) -> None:
    """At most one in twenty of the other nine servers' clients moves."""
    servers = servers_of([1] * 10)
    staying = servers[:gone] + servers[gone + 1 :]
    before, after = places_of("mh", servers), places_of("mh", staying)
    others = [(old, new) for old, new in zip(before, after, strict=True) if old is not servers[gone]]
    moved = sum(old is not new for old, new in others)
    assert moved < 0.05 * len(others)


def test_mh_fills_its_table_only_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[int] = []
    fill = mh._fill

    def counted(servers: Sequence[RealServer], family: Family | None) -> list[RealServer]:
        filled.append(len(servers))
        return fill(servers, family)

    monkeypatch.setattr(mh, "_fill", counted)
    scheduler, servers = mh.Scheduler(), servers_of([1, 2, 3])
    for listed in (servers, servers[:2]):
        scheduler.changed([])
        scheduler.changed(listed)
        for address in ("198.51.100.1", "198.51.100.2"):
            scheduler.pick(listed, tcp(client(1, address), WEB), 0.0)
    assert filled == [3, 2]


@given(address=st.ip_addresses(v=4).map(str), port=st.integers(0, 65535), weights=weights.filter(any))
def test_sh_and_dh_have_256_buckets(address: str, port: int, weights: list[int]) -> None:
    """The bucket is the highest eight bits of address times 0x61C88647, modulo 2^32."""

    def place(of: str, plus: int = 0) -> int:
        number = int.from_bytes(bytes(map(int, of.split("."))), "big") + plus
        return (number * 0x61C88647) % 2**32 // 2**24

    servers = servers_of(weights)
    by_weight = [server for server in servers for _ in range(server.weight or 1)] * 256
    for scheduler, expected in (
        (sh.Scheduler(), by_weight[place(address)]),
        (sh.Scheduler(port=True), by_weight[place(address, port)]),
        (dh.Scheduler(), servers[place(WEB.address) % len(servers)]),
    ):
        scheduler.changed(servers)
        pick = scheduler.pick(servers, tcp(client(port, address), WEB), 0.0)
        assert (pick and pick[0]) == (expected if expected.weight else None)


@pytest.mark.parametrize("kind", [sh.Scheduler, mh.Scheduler])
def test_a_fallback_finds_another_server(kind: type[sh.Scheduler | mh.Scheduler]) -> None:
    """Only clients of a server that is down move, each to the same server every time."""
    servers = servers_of([1, 1, 1, 1])
    plain, fallback = kind(), kind(fallback=True)
    for scheduler in (plain, fallback):
        scheduler.changed(servers)

    @given(address=clients, port=st.integers(1, 65535), down=st.sets(st.integers(0, 3)))
    def check(address: str, port: int, down: set[int]) -> None:
        packet = tcp(client(port, address), WEB)
        for server in servers:
            server.weight = 1
        at_first = fallback.pick(servers, packet, 0.0)
        assert at_first == plain.pick(servers, packet, 0.0)
        for place in down:
            servers[place].weight = 0  # as one that is full: the table is as it was
        without, later = plain.pick(servers, packet, 0.0), fallback.pick(servers, packet, 0.0)
        assert (later is None) == (len(down) == 4)
        assert later is None or later[0].available
        assert without is None or without == later == at_first

    check()


@given(address=clients, down=st.integers(0, 2))
def test_sh_falls_back_from_twice_the_first_bucket(address: str, down: int) -> None:
    servers, packet = servers_of([3, 1, 2]), tcp(client(1, address), WEB)
    servers[down].weight = 0
    table = ([server for server in servers for _ in range(server.weight or 1)] * 256)[:256]
    first = fold(address, 8)
    scheduler = sh.Scheduler(fallback=True)
    scheduler.changed(servers)
    pick = scheduler.pick(servers, packet, 0.0)
    order = [first, *((2 * first + step) % 256 for step in range(256))]
    assert (pick and pick[0]) == next(table[place] for place in order if table[place].available)


@pytest.mark.parametrize("kind", [sh.Scheduler, mh.Scheduler])
def test_ports_count_only_with_the_flag(kind: type[sh.Scheduler | mh.Scheduler]) -> None:
    servers = servers_of([1, 1, 1])
    for port, expected in ((False, 1), (True, 3)):
        scheduler = kind(port=port)
        scheduler.changed(servers)
        found = {scheduler.pick(servers, tcp(client(n, "198.51.100.1"), WEB), 0.0) for n in range(1, 200)}
        assert len({pick[0].address for pick in found if pick}) == expected


def test_mh_spreads_the_clients_of_a_full_server_over_the_others() -> None:
    servers, packets = servers_of([1] * 4), [tcp(client(port), WEB) for port in range(1, 4001)]
    scheduler = mh.Scheduler(fallback=True, port=True)
    scheduler.changed(servers)
    before = [scheduler.pick(servers, packet, 0.0) for packet in packets]
    servers[0].weight = 0
    after = [scheduler.pick(servers, packet, 0.0) for packet in packets]
    went = Counter(
        new[0] for old, new in zip(before, after, strict=True) if old and new and old[0] is servers[0]
    )
    assert all(went[server] > 0.2 * sum(went.values()) for server in servers[1:])


def test_mh_takes_any_weight() -> None:
    servers = servers_of([65535, 1, 0])
    counts = Counter(places_of("mh", servers))
    assert counts[servers[0]] > counts[servers[1]] > 0 == counts[servers[2]]


@given(
    count=st.integers(2, 6), taken=st.integers(0, 12), gone=st.sets(st.integers(0, 5), min_size=1, max_size=4)
)
def test_rr_keeps_its_turn_when_servers_are_deleted(count: int, taken: int, gone: set[int]) -> None:
    """Of the servers that stay, the one that would have been next is next."""
    servers = servers_of([1] * count)
    staying = [server for place, server in enumerate(servers) if place not in gone]
    scheduler = rr.Scheduler()
    for _ in range(taken):
        scheduler.pick(servers, PACKET, 0.0)
    turn = servers[taken % count :] + servers[: taken % count]
    for place in sorted(gone & set(range(count)), reverse=True):
        scheduler.apply_change(scheduler.plan_change(place, -1, Counter()))
    pick = scheduler.pick(staying, PACKET, 0.0)
    assert (pick and pick[0]) == next((server for server in turn if server in staying), None)


# ---- as the kernel does it ----


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rr", "rs4 rs3 rs2 rs4 rs3 rs2 rs4 rs3 rs2"),
        ("wrr", "rs4 rs3 rs2 rs3 rs4 rs3 rs2 rs3 rs4"),
    ],
)
def test_the_turns_are_those_of_kernel_6_1(name: str, expected: str) -> None:
    """Measured with ipvsadm -A and three -a, weights 1, 2, 1: the newest server is the first."""
    key = ServiceKey(TCP, WEB)
    director = Director(scheduler=name)
    director.apply([AddService(key)], 0)
    for host, weight in ((2, 1), (3, 2), (4, 1)):
        director.apply([AddServer(key, Endpoint(f"172.16.0.{host}", 80), weight)], 0)
    observed = []
    for port in range(1, 10):
        decision = director.decide(tcp(client(port), WEB), 0)
        assert isinstance(decision, Forward)
        observed.append(decision.next_hop.replace("172.16.0.", "rs"))
    assert observed == expected.split()


def test_a_list_of_rules_at_once_gives_the_same_turns() -> None:
    key = ServiceKey(TCP, WEB)
    ends = [(Endpoint(f"172.16.0.{host}", 80), weight) for host, weight in ((2, 1), (3, 2), (4, 1))]
    rules: list[Command] = [AddService(key), *(AddServer(key, end, weight) for end, weight in ends)]
    at_once, one_by_one = Director(), Director()
    at_once.apply(rules, 0)
    for rule in rules:
        one_by_one.apply([rule], 0)
    for port in range(1, 30):
        both = [director.decide(tcp(client(port), WEB), 0) for director in (at_once, one_by_one)]
        assert both[0].reasons == both[1].reasons


def one_lap_after_the_other(before: wrr.Scheduler, servers: list[RealServer]) -> int:
    """What ip_vs_wrr does: the next server's position, found lap by lap with a falling current weight."""
    while True:
        before.position += 1
        if before.position == len(servers):
            before.position = 0
            before.current_weight -= before.step
            if before.current_weight <= 0:
                before.current_weight = before.max_weight
        if servers[before.position].available and servers[before.position].weight >= before.current_weight:
            return before.position


@given(weights=weights, changes=st.lists(st.tuples(st.integers(0, 7), st.booleans(), st.integers(0, 12))))
def test_wrr_skips_rounds_but_no_turn(weights: list[int], changes: list[tuple[int, bool, int]]) -> None:
    ours, laps, servers = wrr.Scheduler(), wrr.Scheduler(), servers_of(weights)
    for scheduler in (ours, laps):
        scheduler.changed(servers)
    for place, overloaded, weight in [*changes, (0, False, 1), *[(0, False, 1)] * 9]:
        server = servers[place % len(servers)]
        server.overloaded = overloaded
        if weight % 3 == 0:  # else only the load has changed
            server.weight = weight
            for scheduler in (ours, laps):
                scheduler.changed(servers)
        picked = ours.pick(servers, PACKET, 0.0)
        if picked is not None:
            assert servers.index(picked[0]) == one_lap_after_the_other(laps, servers)
            assert (ours.position, ours.current_weight) == (laps.position, laps.current_weight)


class _Looked(RealServer):
    """Counts how often a server is looked at."""

    times = 0

    @property
    def available(self) -> bool:
        _Looked.times += 1
        return super().available


@pytest.mark.parametrize("name", ["rr", "wrr", "sh", "dh", "mh"])
def test_the_next_server_is_found_without_a_full_scan(name: str) -> None:
    servers: list[RealServer] = [
        _Looked(Endpoint(f"192.0.2.{n}", 80), 1 + n % 3, Method.DR) for n in range(1, 201)
    ]
    scheduler = schedulers.make(name)
    scheduler.changed(servers)
    _Looked.times = 0
    for _ in range(500):
        scheduler.pick(servers, PACKET, 0.0)
    assert _Looked.times <= 5 * 500


@pytest.mark.parametrize("name", schedulers.names())
@pytest.mark.parametrize("busy", [0, 1, 2, 3])
def test_the_largest_weights_take_no_more_steps(name: str, busy: int) -> None:
    """Steps are lines of the schedulers' files; with ipvsadm's largest weight, laps would be 2^31."""
    servers = servers_of([2**31 - 1, 2**31 - 2, 65535, 1])
    for server in servers[:busy]:
        server.overloaded = True
    steps = 0

    def count(_frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal steps
        steps += 1
        assert steps < 2_000_000
        return count

    scheduler = schedulers.make(name)
    before = sys.gettrace()
    sys.settrace(count)
    try:
        scheduler.changed(servers)
        for _ in range(20):
            scheduler.pick(servers, PACKET, 0.0)
    finally:
        sys.settrace(before)
