"""Draws a student's variant of an exercise from the student's id: always the same one, on every machine."""

from __future__ import annotations

import re
from collections.abc import Sequence

from classroom import catalogue
from classroom.model import Fault, Variant, drawn
from labs.errors import BadRequest
from labs.hosts.environment import user_name
from labs.methods import METHODS
from labs.network.addresses import Addressing

_STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
_VIPS = (*range(3, 10), *range(240, 250))  # last octets that no real server or router uses
_OF_TWO = 3  # the last octet of the second director
_MAX_SHIFT = 20  # free addresses in the smallest network, a remote site's


def default_student() -> str:
    """The user's name in passwd(5), with dashes in place of illegal characters."""
    name = re.sub(r"[^A-Za-z0-9._@+-]", "-", user_name())[:64]
    return name if _STUDENT.fullmatch(name) else f"u{name}"[:64]


def variant_for(exercise: str, student: str, *, healthy: bool = False) -> Variant:
    """A student's variant; `healthy`, without its fault. Raises BadRequest."""
    if not _STUDENT.fullmatch(student):
        raise BadRequest(f"--student {student!r}: expected up to 64 letters, digits and . _ @ + -.")
    definition, faults = catalogue.load(exercise), catalogue.faults(exercise)
    number, method = drawn(_possible(faults, definition.methods), exercise, student, "fault")
    servers = drawn(definition.servers, exercise, student, "servers")
    picked = drawn(range(servers), exercise, student, "server")
    if healthy:
        number = None
    return Variant(
        exercise=exercise,
        student=student,
        definition=definition,
        method=method,
        servers=servers,
        scheduler=drawn(definition.schedulers, exercise, student, "scheduler"),
        addresses=_addresses(exercise, student, method),
        server=f"rs{picked + 1}",
        other=f"rs{(picked + 1) % servers + 1}",
        number=number,
        fault=None if number is None else faults[number],
    )


def _possible(faults: Sequence[Fault], methods: Sequence[str]) -> list[tuple[int | None, str]]:
    """Each fault with each method in which it works; without faults, the methods."""
    if not faults:
        return [(None, method) for method in methods]
    return [(number, method) for number, fault in enumerate(faults) for method in fault.methods or methods]


def _addresses(exercise: str, student: str, method: str) -> Addressing:
    shifts = range(_MAX_SHIFT)
    vips = [octet for octet in _VIPS if method in METHODS or octet > _OF_TWO]
    return Addressing(
        vip=f"203.0.113.{drawn(vips, exercise, student, 'vip')}",
        clients=drawn(shifts, exercise, student, "clients"),
        servers=drawn(shifts, exercise, student, "addresses"),
    )
