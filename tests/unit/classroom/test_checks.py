"""Checks judge observations, and fail without them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from classroom import catalogue
from classroom.checks import FAILED, judged, probes_of, service
from classroom.checks.arp import one_answer
from classroom.checks.learnt_routes import route_kept
from classroom.checks.service import all_served, fair_shares
from classroom.variants import variant_for
from tests.unit.classroom.submissions import observations

CASE = variant_for("e04", "ada")
JUDGES = catalogue.load("e04").checks


def passed(observations: dict[str, Any]) -> list[bool]:
    return [check.ok for check in judged(JUDGES, observations, CASE)]


def test_a_working_lab_passes_and_a_broken_one_fails_as_expected() -> None:
    assert passed(observations(CASE)) == [True, True, True]
    assert passed(observations(CASE, broken=True)) == [False, False, True]


def test_a_missing_probe_fails_its_checks() -> None:
    found = judged(JUDGES, {"arp_answers": ["d-eth0"]}, CASE)
    assert [check.ok for check in found] == [False, False, True]
    assert "did not run" in found[0].observed


def test_a_failed_probe_fails_its_checks() -> None:
    found = judged(JUDGES, {**observations(CASE), "arp_answers": {FAILED: "no tcpdump"}}, CASE)
    assert [check.ok for check in found] == [True, True, False]
    assert found[2].observed == "no tcpdump"


@pytest.mark.parametrize("name", catalogue.names())
@pytest.mark.parametrize(
    "absurd", [1, "x", [], {}, [1], ["x"], [[]], [{}], {"x": 1}, [None], True, [{"how": 1}]]
)
def test_malformed_observations_pass_no_exercise(name: str, absurd: object) -> None:
    variant, judges = variant_for(name, "ada"), catalogue.load(name).checks
    found = judged(judges, {probe.__name__: absurd for probe in probes_of(judges)}, variant)
    assert not all(check.ok for check in found)


def test_each_probe_runs_once() -> None:
    names = [probe.__name__ for probe in probes_of(JUDGES)]
    assert names == ["requests", "arp_answers"]


@pytest.mark.parametrize(("first", "then"), [(0, 5), (0, 0), (5, 0)])
def test_requests_that_were_answered_are_sent_again(
    monkeypatch: pytest.MonkeyPatch, first: int, then: int
) -> None:
    """Faults that only show once every host knows its neighbours; others show at once."""
    served, failed = {"how": "answered", "server": "rs1"}, {"how": "ECONNRESET"}
    sent = [[failed] * number + [served] * (12 - number) for number in (first, then)]
    monkeypatch.setattr(service, "send_requests", lambda *_: sent.pop(0))
    found = service.settled_requests(cast(Any, None), 80, 12)
    assert found.count(failed) == (first or then)
    assert len(sent) == (1 if first else 0)


def test_no_requests_is_not_served() -> None:
    assert not judged([all_served], {"requests": []}, CASE)[0].ok


def test_a_second_arp_reply_fails() -> None:
    assert not judged([one_answer], {"arp_answers": ["d-eth0", "rs1-eth0"]}, CASE)[0].ok


def test_one_server_for_all_is_not_fair() -> None:
    asked = observations(CASE)["requests"]
    one_sided = [{"how": "answered", "server": asked[0]["server"]}] * len(asked)
    assert not judged([fair_shares], {"requests": one_sided}, CASE)[0].ok


def test_every_real_server_has_to_keep_its_route() -> None:
    variant = variant_for("e31", "ada")
    well = {name: {"learnt": True, "heard": True, "kept": True} for name in variant.hosts("servers")}
    assert route_kept({"takeover_of_router": well}, variant).ok
    check = route_kept({"takeover_of_router": {**well, "rs2": {**well["rs2"], "kept": False}}}, variant)
    assert (check.ok, check.observed) == (False, "rs2: no such route")
    assert not route_kept({"takeover_of_router": {}}, variant).ok


def test_in_ipv6_checks_speak_of_neighbour_discovery() -> None:
    check = one_answer({"arp_answers": ["d-eth0"]}, variant_for("e29", "ada"))
    assert (check.ok, check.name) == (True, "Only the director answers neighbour solicitations for the VIP")
