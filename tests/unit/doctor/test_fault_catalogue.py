"""The catalogue of faults (tests/labs/faults.py) has every cause, and each of its faults can be typed."""

from __future__ import annotations

import random
import re

import pytest

from classroom.diagnosis import CAUSES
from labs.plan import plan_for
from labs.run.options import LabOptions
from tests.labs.fault_drawing import draw, fill, hosts, kinds_for
from tests.labs.faults import KINDS
from tests.labs.ha_doctor_trial import FAULTS
from tests.unit.doctor.recorded import METHODS


def test_the_catalogue_of_faults_has_every_cause_and_more() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names) >= 40
    assert sum(not kind.by_issue for kind in KINDS) >= 10  # besides what anybody has asked for
    assert {kind.cause for kind in KINDS} <= {*CAUSES, ""}
    of_two_directors = set(FAULTS)
    untried = set(CAUSES) - {kind.cause for kind in KINDS} - of_two_directors
    # A client on another network, what exists in IPv6 only, and a program that labs do not install.
    of_ipv6 = {"dad_failed", "packet_too_big_filtered", "router_flag_lost"}
    assert untried == {"direct_route", "iptables_rule", *of_ipv6}
    assert of_two_directors <= set(CAUSES)


@pytest.mark.parametrize("method", METHODS)
def test_a_fault_of_the_catalogue_is_complete(method: str) -> None:
    plan = plan_for(method, LabOptions(engine="scapy", scheduler="rr"))
    faults = [
        fill(plan, kind, variant, node)
        for kind, variant, role in kinds_for(method)
        for node in hosts(plan, role)
    ]
    names = {node.name for node in plan.topology.nodes}
    for fault in faults:
        assert {host for host, _ in (*fault.typed, *fault.undo)} <= names
        assert not re.findall(
            r"<\w+>(?!/dev)", " ".join(command for _, command in (*fault.typed, *fault.undo))
        )
    assert draw(plan, "scapy", random.Random(1), 5) == draw(plan, "scapy", random.Random(1), 5)
