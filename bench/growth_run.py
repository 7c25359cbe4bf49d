"""A run with --growth: all contenders at a point, in turns for each round, then the next point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import contenders
from bench.contenders import directors
from bench.figures import DIRECT
from bench.growth import DIMENSIONS, FIRST_SERVER, METHOD, Dimension, Step
from bench.growth_results import GrowthResults
from bench.many_clients import drop_all
from bench.rounds import Progress
from bench.testbed import SERVER, Testbed
from director import engines
from labs.errors import LabError

CONTENDERS = (DIRECT, "ipvs", "ebpf")
MOST = 1_000_000  # connections; servers and services stop earlier
_SCRATCH = Path("/run/bench/growth")
_SERVERS = 1000  # real servers, all of them addresses of the testbed's one server


@dataclass(frozen=True, slots=True)
class Plan:
    """`most` bounds the points; `seconds` is how long one measurement takes."""

    contenders: tuple[str, ...] = CONTENDERS
    seconds: float = 2
    rounds: int = 3
    most: int = MOST

    def points(self, dimension: Dimension) -> tuple[int, ...]:
        return tuple(point for point in dimension.points if point <= self.most)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def names() -> tuple[str, ...]:
    """The contenders whose growth can be measured: our director by its engines, and the direct path."""
    return tuple(name for name in contenders.names() if name == DIRECT or name in engines.names())


def steps(plan: Plan) -> int:
    """The number of calls of `say`."""
    points = sum(len(plan.points(dimension)) for dimension in DIMENSIONS.values())
    return points * plan.rounds * len(plan.contenders)


def measure(plan: Plan, results: GrowthResults, say: Progress) -> Iterator[None]:
    """Measure everything; yield after each point, so that the caller can keep it. Needs root of a sandbox."""
    for dimension in DIMENSIONS.values():
        testbeds: dict[str, Testbed] = {}
        try:
            for contender in plan.contenders:
                _set_up(dimension, contender, testbeds, results)
            yield from _measure(plan, dimension, testbeds, results, say)
        finally:
            for testbed in testbeds.values():
                testbed.close()
    results.complete = True


def _set_up(dimension: Dimension, name: str, testbeds: dict[str, Testbed], results: GrowthResults) -> None:
    contender = contenders.get(name)
    obstacle = contender.obstacle()
    if obstacle:
        results.lacks(name, obstacle)
        return
    method = METHOD if contender.methods else ""
    testbed = testbeds[name] = Testbed(f"{dimension.name}-{name}", method, _SCRATCH / dimension.name / name)
    try:
        drop_all(testbed)
        if method:
            _add_neighbours(testbed)
            directors.start(testbed, name, lines=())
    except LabError as error:
        results.lacks(name, str(error))
        testbeds.pop(name).close()


def _add_neighbours(testbed: Testbed) -> None:
    """Make the address of every real server lead to the testbed's one server."""
    mac = testbed.mac("s", "s-d")
    servers = [FIRST_SERVER + number for number in range(_SERVERS)]
    lines = [f"neigh replace {server} lladdr {mac} dev d-s nud permanent" for server in servers]
    testbed.run("d", "ip", "route", "add", f"{SERVER.rsplit('.', 2)[0]}.0.0/16", "dev", "d-s")
    testbed.run("d", "ip", "-batch", "-", text="\n".join(lines) + "\n")


def _measure(
    plan: Plan, dimension: Dimension, testbeds: dict[str, Testbed], results: GrowthResults, say: Progress
) -> Iterator[None]:
    before = 0
    for point in plan.points(dimension):
        for testbed in testbeds.values():
            if testbed.method:
                directors.add_rules(testbed, dimension.rules(point, before))
        for turn in range(plan.rounds):
            step = Step(point, before, turn, plan.seconds)
            for contender, testbed in list(testbeds.items()):
                say(f"{point:,} {dimension.axis}, round {turn + 1} of {plan.rounds}: {contender}")
                try:
                    found = dimension.measure(testbed, step)
                except LabError as error:
                    results.lacks(contender, f"at {point:,} {dimension.axis}: {error}")
                    testbeds.pop(contender).close()
                    continue
                results.add(dimension.name, contender, point, turn, found)
        before = point
        yield
