"""A case: what follows from an exercise and a student's id, the same each time, on every machine.

Each choice is drawn from a digest of its own, so that a new one does not change the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import TypeVar

from classroom import catalogue
from classroom.exercise import EVERYONE, OTHER, SERVER, SERVERS, Fault
from labs.errors import BadRequest
from labs.hosts.environment import user_name
from labs.network.addresses import Addressing
from labs.network.topology import Role
from labs.plan import Plan
from labs.run.command import plan_for
from labs.run.options import LabOptions

T = TypeVar("T")

_STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
_NAME = re.compile(r"\{(\w+)\}")
_VIPS = (*range(3, 10), *range(240, 250))  # the last number; real servers and routers have others
_MOST_SHIFT = 20  # as many as the smallest network, that of a remote site, has room for


@dataclass(frozen=True, slots=True)
class Variant:
    """`fault` is the number of the fault among those of the exercise; None is the lab that works."""

    exercise: str
    student: str
    method: str
    servers: int
    scheduler: str
    addresses: Addressing
    server: str
    other: str
    fault: int | None

    @property
    def options(self) -> LabOptions:
        return LabOptions(servers=self.servers, scheduler=self.scheduler, addresses=self.addresses)

    @property
    def plan(self) -> Plan:
        """The lab with what exercise and fault change in it, before their edits of scripts."""
        return _plan(self)

    @property
    def facts(self) -> Mapping[str, str]:
        """What texts, edits and repairs may name in braces: addresses, and the hosts picked."""
        return _facts(self)

    def filled(self, text: str) -> str:
        """`text` with the facts that it names; other braces stay."""
        facts = self.facts
        return _NAME.sub(lambda found: facts.get(found[1], found[0]), text)

    def choose(self, among: Sequence[T], what: str) -> T:
        """One of them, by the student's id; `what` is it for."""
        return _choose(among, self.exercise, self.student, what)

    def hosts(self, word: str) -> tuple[str, ...]:
        """The hosts that a word of exercise.py stands for."""
        plan = self.plan
        if word == SERVERS:
            return tuple(server.name for server in plan.servers)
        if word == EVERYONE:
            return tuple(node.name for node in plan.topology.nodes)
        return ({SERVER: self.server, OTHER: self.other}.get(word, word),)


def default_student() -> str:
    """The user's name, as the kernel and passwd(5) know it; what an id can't have becomes a dash."""
    name = re.sub(r"[^A-Za-z0-9._@+-]", "-", user_name())[:64]
    return name if _STUDENT.fullmatch(name) else f"u{name}"[:64]


def variant_for(exercise: str, student: str, *, healthy: bool = False) -> Variant:
    """The case of a student; `healthy`, without its fault. Raises BadRequest."""
    if not _STUDENT.fullmatch(student):
        raise BadRequest(f"--student {student!r}: an id has up to 64 letters, digits and . _ @ + -.")
    about = catalogue.load(exercise)
    number, method = _choose(_possible(catalogue.faults(exercise), about.methods), exercise, student, "fault")
    servers = _choose(about.servers, exercise, student, "servers")
    picked = _choose(range(servers), exercise, student, "server")
    return Variant(
        exercise=exercise,
        student=student,
        method=method,
        servers=servers,
        scheduler=_choose(about.schedulers, exercise, student, "scheduler"),
        addresses=_addresses(exercise, student),
        server=f"rs{picked + 1}",
        other=f"rs{(picked + 1) % servers + 1}",
        fault=None if healthy else number,
    )


def _possible(faults: Sequence[Fault], methods: Sequence[str]) -> list[tuple[int | None, str]]:
    """Each fault with each method in which it can be; where there is none, the methods."""
    if not faults:
        return [(None, method) for method in methods]
    return [(number, method) for number, fault in enumerate(faults) for method in fault.methods or methods]


def _choose(among: Sequence[T], *words: str) -> T:
    digest = sha256("\0".join(words).encode()).digest()
    return among[int.from_bytes(digest[:8], "big") % len(among)]


def _addresses(exercise: str, student: str) -> Addressing:
    shifts = range(_MOST_SHIFT)
    return Addressing(
        vip=f"203.0.113.{_choose(_VIPS, exercise, student, 'vip')}",
        clients=_choose(shifts, exercise, student, "clients"),
        servers=_choose(shifts, exercise, student, "addresses"),
    )


@cache
def _plan(variant: Variant) -> Plan:
    plan = plan_for(variant.method, variant.options)
    about = catalogue.load(variant.exercise)
    if about.change:
        plan = about.change(plan, variant)
    fault = None if variant.fault is None else catalogue.faults(variant.exercise)[variant.fault]
    return fault.change(plan, variant) if fault and fault.change else plan


@cache
def _facts(variant: Variant) -> Mapping[str, str]:
    plan = plan_for(variant.method, variant.options)
    nodes = {node.name: node for node in plan.topology.nodes}
    server = next(one for one in plan.servers if one.name == variant.server)
    other = next(one for one in plan.servers if one.name == variant.other)
    inside = nodes["d"].interfaces[-1]
    return {
        **{name: node.address for name, node in nodes.items()},
        "student": variant.student,
        "vip": plan.vip,
        "dip": plan.addresses.dip,
        "inside": inside.address,
        "director": "d",
        "method": variant.method,
        "scheduler": variant.scheduler,
        "server": variant.server,
        "rip": server.address,
        "port": str(server.http_port),
        "interface": f"{variant.server}-eth0",
        "other": variant.other,
        "other_rip": other.address,
        "other_port": str(other.http_port),
        "count": str(len(plan.servers)),
        "clients": ", ".join(node.name for node in plan.nodes(Role.CLIENT)),
    }
