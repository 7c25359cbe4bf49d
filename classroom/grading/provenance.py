"""The provenance of a submission: whether it shows the lab of the exercise and student that it names.

Exercise and student determine the variant, so a lab of another student has other addresses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from classroom.model import Variant
from classroom.submission import Refused, Submission, sanitize
from classroom.variants import variant_for
from labs.errors import BadRequest

_KNOWN = ("method", "vip", "c1", "server", "rip")  # facts that even the oldest archives have
_SERVERS = re.compile(r"\brs[0-9]+\b", re.ASCII)


def require(submission: Submission) -> Variant:
    """The variant a submission belongs to. Raises Refused."""
    try:
        variant = variant_for(submission.exercise, submission.student)
    except BadRequest as error:
        raise Refused(f"unknown exercise or student: {sanitize(error)}") from None
    _require_run(submission)
    _require_facts(submission.facts, variant)
    _require_state(submission.state, variant)
    _require_servers(submission.seen, variant)
    return variant


def _require_run(submission: Submission) -> None:
    """Raises Refused unless the session was started for the named student."""
    began = submission.journal[0] if submission.journal else {}
    whose = (began.get("what"), began.get("exercise"), began.get("student"))
    if not submission.run or whose != ("started", submission.exercise, submission.student):
        raise Refused("its journal does not begin with the start of this exercise for this student")


def _require_facts(facts: Mapping[str, str], variant: Variant) -> None:
    """Compare the facts, as far as older archives have them."""
    for name, right in variant.facts.items():
        if name in facts or name in _KNOWN:
            _require_same(name, facts.get(name), right, variant)


def _require_state(state: Mapping[str, Any], variant: Variant) -> None:
    """Compare the planned part of the doctor's state, which students cannot change in the lab."""
    plan = variant.plan
    right: dict[str, Any] = {
        "lab": plan.lab,
        "vip": plan.vip,
        "dip": plan.addresses.dip,
        "servers": {server.name: server.address for server in plan.servers},
        "hosts": {node.name: [port.address for port in node.interfaces] for node in plan.topology.nodes},
    }
    for name, wanted in right.items():
        _require_same(name, _planned(name, state.get(name)), wanted, variant)


def _planned(name: str, value: Any) -> Any:
    """A part of the state, in the form of the comparison."""
    try:
        if name == "servers":
            return {server["name"]: server["address"] for server in value}
        if name == "hosts":
            return {host["name"]: [plug["address"] for plug in host["plugs"]] for host in value}
    except (KeyError, TypeError):
        return None
    return value


def _require_servers(observations: Mapping[str, Any], variant: Variant) -> None:
    hosts = {node.name for node in variant.plan.topology.nodes}
    strangers = set(_SERVERS.findall(json.dumps(observations))) - hosts
    if strangers:
        raise Refused(f"wrong lab: {sanitize(min(strangers))} does not exist in the lab of {variant.student}")


def _require_same(name: str, found: Any, right: Any, variant: Variant) -> None:
    if found != right:
        raise Refused(
            f"wrong lab: expected {name}={_shown(right)} for {variant.student}, found {_shown(found)}"
        )


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return sanitize(", ".join(f"{name} {_shown(part)}" for name, part in value.items()), 160)
    if isinstance(value, list):
        return sanitize(" and ".join(map(str, value)), 160)
    return sanitize("none" if value is None else value, 160)
