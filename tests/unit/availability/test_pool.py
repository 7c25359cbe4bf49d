"""A check's retries, a service's quorum and the rules that follow; time is passed in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from availability.config.model import Check, Page, RealServer, Timing, VirtualServer
from availability.monitor.checker import Checker, Outcome
from availability.monitor.pool import Member, Pool

OK, FAILED = Outcome(), Outcome("refused")
TIMING = Timing(retry=2, delay_before_retry=1, warmup=4, delay_loop=10)
CHECK = Check("TCP_CHECK", "192.0.2.2", 80, TIMING)
PAGE = Page("/", None, (range(200, 300),), None, None, True, (0, None))
KEY = {"protocol": "TCP", "address": "203.0.113.1:80"}
SERVICE: dict[str, Any] = {"scheduler": "wrr"}


def new_checker(**changes: Any) -> Checker:
    return Checker.new(replace(CHECK, timing=replace(TIMING, **changes)), 100.0, 0.5)


def test_the_first_run_is_within_the_warm_up() -> None:
    assert new_checker().due == 102


def test_a_server_is_down_after_its_retries_and_up_after_one_success() -> None:
    checker = new_checker()
    observed = []
    for outcome in (OK, FAILED, FAILED, OK, FAILED, FAILED, FAILED, FAILED, OK):
        now = checker.due
        changed = checker.finish(outcome, now)
        observed.append((checker.up, changed, checker.due - now))
    assert observed == [
        (True, False, 10),
        (True, False, 1),
        (True, False, 1),
        (True, False, 10),
        (True, False, 1),
        (True, False, 1),
        (False, True, 10),
        (False, False, 10),
        (True, True, 10),
    ]


def test_alpha_begins_down() -> None:
    checker = new_checker(alpha=True)
    assert not checker.up
    assert checker.finish(OK, checker.due)
    assert checker.up


def test_every_page_must_be_right_before_a_server_is_up() -> None:
    for fast, delay in ((False, 10), (True, 0)):
        check = replace(CHECK, pages=(PAGE, PAGE, PAGE), fast_recovery=fast)
        checker = Checker.new(check, 0.0, 0.0, up=False)
        assert (checker.finish(OK, 0.0), checker.page, checker.due) == (False, 1, delay)
        assert (checker.finish(FAILED, 1.0), checker.page, checker.due) == (False, 0, 11)
        assert [checker.finish(OK, 20.0) for _ in range(3)] == [False, False, True]
        assert (checker.page, checker.due) == (0, 30)


@given(st.lists(st.booleans()), st.integers(1, 4), st.booleans())
def test_the_state_is_that_of_the_last_outcomes(outcomes: list[bool], retry: int, alpha: bool) -> None:
    checker = new_checker(retry=retry, alpha=alpha)
    for number, ok in enumerate(outcomes, start=1):
        before, due = checker.up, checker.due
        changed = checker.finish(OK if ok else FAILED, due)
        last = outcomes[max(0, number - retry - 1) : number]
        assert changed == (before != checker.up)
        assert checker.due > due
        assert checker.up == (ok or (before and (len(last) <= retry or any(last))))


# ---- the pool ----


def server(number: int, **changes: Any) -> RealServer:
    return RealServer(f"192.0.2.{number}", 80, 1, "NAT", checks=(CHECK,), **changes)


def virtual(servers: tuple[RealServer, ...], **changes: Any) -> VirtualServer:
    plain = VirtualServer("web", (KEY,), SERVICE, servers, None, 1, 0, False, None, None, False)
    return replace(plain, **changes)


def make(service: VirtualServer, up: bool = True) -> Pool:
    members = [
        Member(real_server, [Checker.new(check, 0.0, 0.0, up) for check in real_server.checks])
        for real_server in service.servers
    ]
    return Pool(service, members)


def turn(pool: Pool, number: int, up: bool) -> list[str]:
    """Let the check of a server find this; returns the changes that follow."""
    member = pool.members[number]
    for checker in member.checkers:
        checker.up, checker.why = up, "" if up else "refused"
    return [f"{change.kind} {change.server}".strip() for change in pool.update(member, member.checkers[0])]


def weights(pool: Pool) -> dict[str, int]:
    return {rule["server"]: rule["weight"] for rule in pool.rules() if "server" in rule}


def test_a_server_that_is_down_has_no_rule_or_weight_0() -> None:
    pool = make(virtual((server(2), server(3, inhibit=True))))
    assert [change.kind for change in pool.start()] == ["quorum_up"]
    assert weights(pool) == {"192.0.2.2:80": 1, "192.0.2.3:80": 1}
    assert turn(pool, 0, False) == ["server_down 192.0.2.2:80"]
    assert weights(pool) == {"192.0.2.3:80": 1}
    assert turn(pool, 1, False) == ["server_down 192.0.2.3:80", "quorum_down"]
    assert weights(pool) == {"192.0.2.3:80": 0}


def test_the_quorum_is_kept_within_its_hysteresis() -> None:
    """The sample of keepalived, with 10 servers: gained at 7 + 2, lost below 7 - 2."""
    pool = make(virtual(tuple(server(number) for number in range(1, 11)), quorum=7, hysteresis=2), up=False)
    assert pool.start() == []
    observed = [turn(pool, number, True)[1:] for number in range(10)]
    assert observed == [[]] * 8 + [["quorum_up"], []]
    observed = [turn(pool, number, False)[1:] for number in range(10)]
    assert observed == [[]] * 5 + [["quorum_down"]] + [[]] * 4


@pytest.mark.parametrize("inhibit", [False, True])
def test_the_sorry_server_stands_in_for_all(inhibit: bool) -> None:
    sorry = RealServer("192.0.2.9", 80, 1, "NAT", inhibit)
    pool = make(virtual((server(2), server(3, inhibit=True)), sorry=sorry, quorum=2))
    pool.start()
    present = {"192.0.2.9:80": 0} if inhibit else {}
    assert weights(pool) == {"192.0.2.2:80": 1, "192.0.2.3:80": 1, **present}
    turn(pool, 0, False)
    assert weights(pool) == {"192.0.2.9:80": 1, "192.0.2.3:80": 0}
    turn(pool, 0, True)
    assert weights(pool) == {"192.0.2.2:80": 1, "192.0.2.3:80": 1, **present}


def test_a_program_may_ask_for_a_weight() -> None:
    pool = make(virtual((server(2),)))
    member = pool.members[0]
    assert member.checkers[0].finish(Outcome(weight=40), 0.0)
    assert weights(pool) == {"192.0.2.2:80": 40}
    assert not member.checkers[0].finish(Outcome(weight=40), 10.0)
    assert member.checkers[0].finish(Outcome(), 20.0)
    assert weights(pool) == {"192.0.2.2:80": 1}


def test_a_reload_tells_of_servers_that_are_up_without_the_failed_check() -> None:
    pool = make(virtual((server(2), server(3))))
    changes = pool.start({("web", "192.0.2.2:80"): False, ("web", "192.0.2.3:80"): True})
    assert [f"{change.kind} {change.server}".strip() for change in changes] == [
        "server_up 192.0.2.2:80",
        "quorum_up",
    ]


def test_omega_takes_everything_down_at_the_end() -> None:
    for omega, expected in ((False, []), (True, ["server_down", "quorum_down"])):
        pool = make(virtual((server(2),), omega=omega))
        pool.start()
        assert [change.kind for change in pool.stop()] == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40), st.integers(1, 4), st.booleans())
def test_rules_and_quorum_follow_from_who_is_up(
    turns: list[tuple[int, bool]], quorum: int, with_sorry: bool
) -> None:
    sorry = RealServer("192.0.2.9", 80, 1, "NAT") if with_sorry else None
    pool = make(virtual(tuple(server(number) for number in range(2, 6)), sorry=sorry, quorum=quorum))
    changes = [change.kind for change in pool.start()]
    up = [True] * 4
    for number, state in turns:
        up[number] = state
        changes += [change.split()[0] for change in turn(pool, number, state)]
        assert pool.quorum == (sum(up) >= quorum)
        alive = {str(member.server) for member, is_up in zip(pool.members, up, strict=True) if is_up}
        assert set(weights(pool)) == (alive if pool.quorum or not sorry else {str(sorry)})
    about_quorum = [kind for kind in changes if kind.startswith("quorum")]
    assert about_quorum == ["quorum_up", "quorum_down"] * (len(about_quorum) // 2) + ["quorum_up"] * (
        len(about_quorum) % 2
    )
