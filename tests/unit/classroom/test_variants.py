"""A student's variant of an exercise."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from classroom import catalogue
from classroom import variants as module
from classroom.model import Variant
from classroom.variants import default_student, variant_for
from labs.errors import BadRequest
from labs.network import addresses
from labs.network.topology import Role

STUDENTS = [f"s{number}" for number in range(200)]
CASES = [variant_for("e04", student) for student in STUDENTS]


def test_a_variant_is_the_same_every_time() -> None:
    assert variant_for("e04", "ada") == variant_for("e04", "ada")
    assert dict(variant_for("e04", "ada").facts) == dict(variant_for("e04", "ada").facts)


def test_a_variant_is_the_same_on_every_machine() -> None:
    """Submissions are graded elsewhere; these values were recorded."""
    variant = variant_for("e04", "ada")
    assert (variant.method, variant.servers, variant.addresses.vip) == ("dr", 4, "203.0.113.7")


@pytest.mark.parametrize("name", catalogue.names())
def test_every_fault_method_and_server_is_drawn(name: str) -> None:
    cases = [variant_for(name, student) for student in STUDENTS]
    about, faults = catalogue.load(name), catalogue.faults(name)
    assert {variant.number for variant in cases} == (set(range(len(faults))) if faults else {None})
    assert {variant.servers for variant in cases} == set(about.servers)
    assert {variant.method for variant in cases} == set(about.methods)
    assert {variant.server for variant in cases} == {f"rs{n}" for n in range(1, max(about.servers) + 1)}
    assert all(variant.other != variant.server for variant in cases if variant.servers > 1)


def test_students_have_different_labs() -> None:
    labs = [(variant.addresses, variant.server, variant.number, variant.servers) for variant in CASES]
    assert len(set(labs)) > 190  # of 200


@pytest.mark.parametrize("variant", CASES, ids=STUDENTS)
def test_no_address_is_used_twice(variant: Variant) -> None:
    plan = variant.plan
    interfaces = [interface for node in plan.topology.nodes for interface in node.interfaces]
    taken = [plan.vip, *(interface.address for interface in interfaces)]
    assert len(set(taken)) == len(taken)
    routers = {interface.address for node in plan.nodes(Role.ROUTER) for interface in node.interfaces}
    assert {addresses.ROUTER_LAN, addresses.ROUTER_INTERNET} <= routers
    assert all(ip_address(address) for address in taken)


@pytest.mark.parametrize("name", catalogue.names())
@pytest.mark.parametrize("student", ["a", "Z9._@+-", "x" * 64])
def test_valid_ids(name: str, student: str) -> None:
    assert variant_for(name, student).facts["vip"]


@pytest.mark.parametrize(
    "student", ["", " ", "-a", ".a", "a b", "a/b", "../a", "x" * 65, "ä", "a\n", "<b>", "=1", "{vip}"]
)
def test_invalid_ids(student: str) -> None:
    with pytest.raises(BadRequest, match="--student"):
        variant_for("e04", student)


def test_an_unknown_exercise() -> None:
    with pytest.raises(BadRequest, match="e04"):
        variant_for("e99", "ada")


def test_the_healthy_variant_differs_only_in_the_fault() -> None:
    variant, healthy = variant_for("e04", "ada"), variant_for("e04", "ada", healthy=True)
    assert (variant.fault is None, healthy.fault) == (False, None)
    assert dict(variant.facts) == dict(healthy.facts)


def test_host_words_and_facts() -> None:
    variant = variant_for("e04", "ada")
    assert variant.hosts("{server}") == (variant.server,)
    assert variant.hosts("{other}") == (variant.other,)
    assert variant.hosts("servers") == tuple(f"rs{n}" for n in range(1, variant.servers + 1))
    assert {"c1", "c2", "r0", "d", *variant.hosts("servers")} <= set(variant.hosts("everyone"))
    assert variant.hosts("d") == ("d",)
    assert variant.filled("{server} has {rip}, not {nobody}") == (
        f"{variant.server} has {variant.facts['rip']}, not {{nobody}}"
    )


@pytest.mark.parametrize(
    ("user", "student"),
    [("ada", "ada"), ("4711", "4711"), ("DOM\\ada b", "DOM-ada-b"), ("_apt", "u_apt"), ("ü$", "u--")],
)
def test_every_user_name_makes_a_valid_id(user: str, student: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "user_name", lambda: user)
    assert default_student() == student
    assert variant_for("e04", default_student()).student == student
