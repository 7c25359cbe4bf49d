"""The order of a run about growth: each point for all contenders in turns, then the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import ModuleType

from bench import contenders, director, growth
from bench.clients import drop_all
from bench.growth_results import GrowthResults
from bench.run import Progress
from bench.testbed import SERVER, Testbed
from labs.errors import LabError

METHOD = "dr"
MOST = 1_000_000  # connections; of servers and services there are fewer
_SCRATCH = Path("/run/bench/growth")
_SERVERS = 1000  # real servers that a testbed's one machine stands for


@dataclass(frozen=True, slots=True)
class Plan:
    """`most` bounds the points; `seconds` is how long one measurement takes."""

    contenders: tuple[str, ...] = growth.CONTENDERS
    seconds: float = 2
    rounds: int = 3
    most: int = MOST

    def points(self, subject: ModuleType) -> tuple[int, ...]:
        return tuple(point for point in subject.POINTS if point <= self.most)

    def as_dict(self) -> dict[str, object]:
        return {
            "contenders": self.contenders,
            "seconds": self.seconds,
            "rounds": self.rounds,
            "most": self.most,
        }


def steps(plan: Plan) -> int:
    """How often `say` is called."""
    points = sum(len(plan.points(growth.load(name))) for name in growth.names())
    return points * plan.rounds * len(plan.contenders)


def measure(plan: Plan, results: GrowthResults, say: Progress) -> Iterator[None]:
    """Yields after each point, so that it can be kept. To be called inside a sandbox, by its root."""
    for name in growth.names():
        testbeds: dict[str, Testbed] = {}
        try:
            for contender in plan.contenders:
                _set_up(name, contender, testbeds, results)
            yield from _measure(plan, name, testbeds, results, say)
        finally:
            for testbed in testbeds.values():
                testbed.close()
    results.complete = True


def _set_up(name: str, contender: str, testbeds: dict[str, Testbed], results: GrowthResults) -> None:
    module = contenders.load(contender)
    why_not = module.cannot()
    if why_not:
        results.lacks(contender, why_not)
        return
    testbed = testbeds[contender] = Testbed(
        f"{name}-{contender}", METHOD if module.METHODS else "", _SCRATCH / name / contender
    )
    try:
        drop_all(testbed)
        if module.METHODS:
            _know_servers(testbed)
            director.set_up(testbed, contender, lines=())
    except LabError as error:
        results.lacks(contender, str(error))
        testbeds.pop(contender).close()


def _know_servers(testbed: Testbed) -> None:
    """The director sends what is for any of the servers to the one machine that stands for them."""
    mac = testbed.mac("s", "s-d")
    first = IPv4Address(SERVER)
    lines = [f"neigh replace {first + at} lladdr {mac} dev d-s nud permanent" for at in range(_SERVERS)]
    testbed.run("d", "ip", "route", "add", f"{SERVER.rsplit('.', 2)[0]}.0.0/16", "dev", "d-s")
    testbed.run("d", "ip", "-batch", "-", text="\n".join(lines) + "\n")


def _measure(
    plan: Plan, name: str, testbeds: dict[str, Testbed], results: GrowthResults, say: Progress
) -> Iterator[None]:
    subject = growth.load(name)
    before = 0
    for point in plan.points(subject):
        for testbed in testbeds.values():
            if testbed.method:
                director.apply(testbed, subject.lines(point, before, testbed.method))
        for turn in range(plan.rounds):
            for contender, testbed in list(testbeds.items()):
                say(f"{point:,} {subject.AXIS}, round {turn + 1} of {plan.rounds}: {contender}")
                try:
                    found = subject.measure(testbed, point, before, turn, plan.seconds)
                except LabError as error:
                    results.lacks(contender, f"at {point:,} {subject.AXIS}: {error}")
                    testbeds.pop(contender).close()
                    continue
                results.add(name, contender, point, turn, found)
        before = point
        yield
