"""Submissions of e04, made up without a lab: what its probes and the doctor would have observed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from nacl.public import PrivateKey

from classroom.keys import private_key
from classroom.model import Variant
from classroom.submission import Submission, sealed
from classroom.variants import variant_for
from labs.plan import Plan

SECRET = "correct horse battery staple"
STARTED = 1_700_000_000.0


@cache
def key(secret: str = SECRET) -> PrivateKey:
    return private_key(secret)


def submission(student: str = "ada", **changes: Any) -> Submission:
    """Repaired and rightly diagnosed, ten minutes after the start; `changes` replace fields."""
    variant = variant_for("e04", student)
    made = Submission(
        exercise="e04",
        student=student,
        seen=observations(variant),
        state=state(variant.plan),
        journal=journal(student),
        diagnosis={"host": variant.server, "cause": "vip_missing", "evidence": "counters"},
        run=sha256(student.encode()).hexdigest()[:32],
        facts=dict(variant.facts),
    )
    return replace(made, **changes)


def observations(variant: Variant, *, broken: bool = False) -> dict[str, Any]:
    """Three rounds of requests; `broken`: those to the server with the fault get no answer."""
    names = [server.name for server in variant.plan.servers] * 3
    requests = [{"how": "answered", "server": name} for name in names if not broken or name != variant.server]
    silent = [{"how": "ETIMEDOUT"}] * (len(names) - len(requests))
    return {"requests": requests + silent, "arp_answers": ["d-eth0"]}


def state(plan: Plan) -> dict[str, Any]:
    """The plan's part of the doctor's state."""
    return {
        "lab": plan.lab,
        "vip": plan.vip,
        "dip": plan.addresses.dip,
        "servers": [{"name": server.name, "address": server.address} for server in plan.servers],
        "hosts": [
            {"name": node.name, "plugs": [{"address": interface.address} for interface in node.interfaces]}
            for node in plan.topology.nodes
        ],
    }


def journal(student: str, minutes: float = 10.0) -> list[dict[str, Any]]:
    """A journal with a hint and two checks."""
    entries = ["started", "check", "hint", "check", "submit"]
    step = minutes * 60 / (len(entries) - 1)
    lines = [{"at": STARTED + number * step, "what": what} for number, what in enumerate(entries)]
    return [{**lines[0], "exercise": "e04", "student": student}, *lines[1:]]


def hand_in(folder: Path, made: Submission, name: str = "", secret: str = SECRET) -> Path:
    """Write the sealed file below `folder`."""
    file = folder / (name or f"{made.exercise}-{made.student}.lvs")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(sealed(made, key(secret).public_key))
    return file
