"""Predictions: the real server that gets each connection of a sequence, for every scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

from classroom.checks import needs, title
from classroom.checks.trial_services import Step, add_services, connect, delete_services, free_port
from classroom.model import Judge, Observations, Variant
from classroom.worksheet import BLANK, Section, answer, answers
from director.core import schedulers
from director.core.packet import SYN, TCP, Endpoint, Packet
from director.core.real_server import Method, RealServer
from labs.checks.result import Check
from labs.run.running import RunningLab

# What a student may have missed, by scheduler.
_LOOK_AT = {
    "rr": "whose turn it is",
    "wrr": "which weight reaches the current weight",
    "lc": "each server's connections, open and closed",
    "wlc": "each server's connections divided by its weight",
    "sed": "(open connections + 1) divided by the weight",
    "nq": "which servers have no open connection",
    "sh": "which server the client's address hashes to",
    "dh": "which server the VIP's address hashes to",
}
SCHEDULERS = tuple(_LOOK_AT)
_HASHING = ("sh", "dh")  # cannot be computed by hand, so each client's first server is given
_LENGTH = 6
_WEIGHTS = tuple(permutations((1, 2, 3)))
# Most connections stay open, to create load; the first one always does.
_STAYING = tuple(
    stays for stays in product((True, False), repeat=_LENGTH) if stays[0] and sum(stays) in (4, 5)
)

# ---- the worksheet ----


@dataclass(frozen=True, slots=True)
class Trial:
    """A sequence of connections to a service; `weights` of rs1, rs2 and rs3, in the director's order."""

    scheduler: str
    weights: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The steps as the worksheet names them."""
        return tuple(
            f"{number} {step.client} {'stays open' if step.stays else 'closes'}"
            for number, step in enumerate(self.steps, 1)
        )

    @property
    def given(self) -> int:
        """The number of steps, from the first, that are already filled in."""
        return len(_clients(self.scheduler)) if self.scheduler in _HASHING else 0


def trials(variant: Variant) -> tuple[Trial, ...]:
    """One for each scheduler."""
    return tuple(_trial(name, variant) for name in SCHEDULERS)


def _trial(scheduler: str, variant: Variant) -> Trial:
    staying = variant.choose(_STAYING, f"{scheduler}: who stays")  # a seed: never change these words
    clients = _clients(scheduler)
    steps = tuple(Step(clients[number % len(clients)], stays) for number, stays in enumerate(staying))
    return Trial(scheduler, variant.choose(_WEIGHTS, f"{scheduler}: weights"), steps)


def _clients(scheduler: str) -> tuple[str, ...]:
    return ("c1", "c2") if scheduler == "sh" else ("c1",)


def real_servers(trial: Trial, variant: Variant) -> list[RealServer]:
    """The real servers of a trial's service, in order."""
    return [
        RealServer(Endpoint(server.address, server.http_port), weight, Method.NAT)
        for server, weight in zip(variant.plan.servers, trial.weights, strict=True)
    ]


def opening_packet(client: str, variant: Variant) -> Packet:
    """The SYN of a client's connection."""
    source, vip = Endpoint(variant.facts[client], 40000), Endpoint(variant.plan.vip, 80)
    return Packet(TCP, source, vip, length=40, flags=SYN)


def given_servers(trial: Trial, variant: Variant) -> list[str]:
    """The servers of the steps that are already filled in."""
    scheduler, servers = schedulers.make(trial.scheduler), real_servers(trial, variant)
    scheduler.changed(servers)
    steps = trial.steps[: trial.given]
    picks = [scheduler.pick(servers, opening_packet(step.client, variant), 0) for step in steps]
    return [name_of(pick[0], variant) for pick in picks if pick]


def name_of(server: RealServer, variant: Variant) -> str:
    return next(planned.name for planned in variant.plan.servers if planned.address == server.address.address)


def sections(variant: Variant) -> tuple[Section, ...]:
    """The worksheet with its blanks."""
    found = []
    for trial in trials(variant):
        given = given_servers(trial, variant)
        values = [*given, *[BLANK] * (len(trial.steps) - len(given))]
        cells = dict(zip(trial.labels, values, strict=True))
        found.append(Section(trial.scheduler, _weights(trial), cells))
    return tuple(found)


def _weights(trial: Trial) -> str:
    """`weights: rs1 3, rs2 1, rs3 2`"""
    return "weights: " + ", ".join(f"rs{number} {weight}" for number, weight in enumerate(trial.weights, 1))


# ---- probe ----


def played(running: RunningLab, variant: Variant) -> dict[str, list[str]]:
    """For each scheduler, the server that got each connection, or the name of an errno."""
    todo = [(free_port(), trial) for trial in trials(variant)]
    error = add_services([(port, trial.scheduler, trial.weights) for port, trial in todo], variant)
    try:
        if error:
            return {trial.scheduler: [] for _, trial in todo}
        found = connect(running, [(port, trial.steps) for port, trial in todo])
    finally:
        delete_services([port for port, _ in todo], variant)
    return {trial.scheduler: names for (_, trial), names in zip(todo, found, strict=True)}


# ---- judges ----


@needs(played)
def trials_served(observations: Observations, variant: Variant) -> Check:
    """Every connection is served, under every scheduler."""
    names = {server.name for server in variant.plan.servers}
    made = sum(len(trial.steps) for trial in trials(variant))
    served = sum(name in names for found in observations["played"].values() for name in found)
    return Check(title(trials_served), served == made, f"{made} served", f"{served} served")


def _predicted(scheduler: str) -> Judge:
    @needs(answers, played)
    def judge(observations: Observations, variant: Variant) -> Check:
        trial = next(trial for trial in trials(variant) if trial.scheduler == scheduler)
        return _compared(title(judge), trial, observations["answers"], observations["played"][scheduler])

    judge.__name__ = f"predicted_{scheduler}"
    judge.__doc__ = f"{scheduler}: as predicted."
    return judge


def _compared(name: str, trial: Trial, filled: Mapping[str, Any], found: list[str]) -> Check:
    """The number of right predictions, and the first wrong one; never the right answer."""
    asked = range(trial.given, len(trial.steps))
    given = [answer(filled, trial.scheduler, label) for label in trial.labels]
    right = [step for step in asked if [(given[step] or "").lower()] == found[step : step + 1]]
    wrong = next((step for step in asked if step not in right), None)
    expected = f"{len(asked)} right"
    if wrong is None:
        return Check(name, True, expected, expected)
    observed = [f"{len(right)} right", _complaint(trial, wrong, given[wrong]), *filled["wrong"][:1]]
    return Check(name, False, expected, "; ".join(observed))


def _complaint(trial: Trial, step: int, given: str | None) -> str:
    if given is None:
        return f"[{trial.scheduler}] has no line {trial.labels[step]!r}"
    if not given:
        return f"number {step + 1} is blank"
    return f"number {step + 1} does not go to {given}: look at {_LOOK_AT[trial.scheduler]}"


PREDICTED = tuple(map(_predicted, SCHEDULERS))
