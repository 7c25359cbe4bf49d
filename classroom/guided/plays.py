"""Plays: a few connections in their order to a service of one scheduler; who gets each is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

from classroom.guided.answers import BLANK, Section
from classroom.variants import Variant
from director.core import schedulers
from director.core.packet import SYN, TCP, Endpoint, Packet
from director.core.real_server import Method, RealServer

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh")
_HASHING = ("sh", "dh")  # nobody works these out by hand: what each client gets first is told
_LENGTH = 6
_WEIGHTS = tuple(permutations((1, 2, 3)))
# Most connections stay, so that there is a load; the first, so that it is there from the beginning.
_STAYING = tuple(
    stays for stays in product((True, False), repeat=_LENGTH) if stays[0] and sum(stays) in (4, 5)
)


@dataclass(frozen=True, slots=True)
class Step:
    """A connection of `client`, asked once; it is closed before the next one comes, or `stays` open."""

    client: str
    stays: bool


@dataclass(frozen=True, slots=True)
class Play:
    """`weights` of rs1, rs2 and rs3, which is their order in the director's list."""

    scheduler: str
    weights: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """What the answers file calls the steps."""
        return tuple(
            f"{number} {step.client} {'stays open' if step.stays else 'closes'}"
            for number, step in enumerate(self.steps, 1)
        )

    @property
    def told(self) -> int:
        """How many of the first steps need no prediction."""
        return len(_clients(self.scheduler)) if self.scheduler in _HASHING else 0


def plays(variant: Variant) -> tuple[Play, ...]:
    """One for each scheduler, by the student's id."""
    return tuple(_play(name, variant) for name in SCHEDULERS)


def _play(scheduler: str, variant: Variant) -> Play:
    stays = variant.choose(_STAYING, f"{scheduler}: who stays")
    clients = _clients(scheduler)
    steps = (Step(clients[number % len(clients)], one) for number, one in enumerate(stays))
    return Play(scheduler, variant.choose(_WEIGHTS, f"{scheduler}: weights"), tuple(steps))


def _clients(scheduler: str) -> tuple[str, ...]:
    return ("c1", "c2") if scheduler == "sh" else ("c1",)


def listed(play: Play, variant: Variant) -> list[RealServer]:
    """The real servers of a play as its service has them."""
    return [
        RealServer(Endpoint(server.address, server.http_port), weight, Method.NAT)
        for server, weight in zip(variant.plan.servers, play.weights, strict=True)
    ]


def opening(client: str, variant: Variant) -> Packet:
    """The packet that opens a connection of a client."""
    return Packet(
        TCP, Endpoint(variant.facts[client], 40000), Endpoint(variant.plan.vip, 80), length=40, flags=SYN
    )


def told(play: Play, variant: Variant) -> list[str]:
    """Who gets those of the first steps that need no prediction."""
    scheduler, servers = schedulers.make(play.scheduler), listed(play, variant)
    scheduler.changed(servers)
    picks = [scheduler.pick(servers, opening(step.client, variant), 0) for step in play.steps[: play.told]]
    return [name_of(pick[0], variant) for pick in picks if pick]


def name_of(server: RealServer, variant: Variant) -> str:
    return next(one.name for one in variant.plan.servers if one.address == server.address.address)


def sections(variant: Variant) -> tuple[Section, ...]:
    """The answers file with its blanks."""
    found = []
    for play in plays(variant):
        answers = [*told(play, variant), *[BLANK] * (len(play.steps) - play.told)]
        cells = dict(zip(play.labels, answers, strict=True))
        found.append(Section(play.scheduler, note(play), cells))
    return tuple(found)


def note(play: Play) -> str:
    """`weights: rs1 3, rs2 1, rs3 2`"""
    return "weights: " + ", ".join(f"rs{number} {weight}" for number, weight in enumerate(play.weights, 1))
