"""The order of a run: testbeds are set up, then each is measured in turn, round after round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import contenders, measures, servers
from bench.results import Results, Sample
from bench.testbed import Testbed
from labs.errors import LabError
from labs.methods import METHODS

_SCRATCH = Path("/run/bench")
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured; `seconds` is how long one measurement takes."""

    methods: tuple[str, ...] = METHODS
    contenders: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    seconds: float = 3
    rounds: int = 3

    def as_dict(self) -> dict[str, object]:
        return {
            "methods": self.methods,
            "contenders": self.contenders or contenders.names(),
            "measures": self.measures or measures.names(),
            "seconds": self.seconds,
            "rounds": self.rounds,
        }


def measure(plan: Plan, results: Results, say: Progress) -> Iterator[None]:
    """Yields after each round, so that it can be kept. To be called inside a sandbox, by its root."""
    for method in plan.methods:
        yield from _measure_method(plan, method, results, say)
    results.complete = True


def steps(plan: Plan) -> int:
    """How often `say` is called, at most."""
    number = len(plan.contenders or contenders.names())
    return len(plan.methods) * number * (1 + plan.rounds * len(plan.measures or measures.names()))


def _measure_method(plan: Plan, method: str, results: Results, say: Progress) -> Iterator[None]:
    testbeds: dict[str, Testbed] = {}
    try:
        for contender in plan.contenders or contenders.names():
            say(f"{method}: {contender} is set up")
            testbed = _set_up(method, contender, results)
            if testbed is not None:
                testbeds[contender] = testbed
        for number in range(plan.rounds):
            for name in plan.measures or measures.names():
                for contender, testbed in testbeds.items():
                    say(f"{method}, round {number + 1} of {plan.rounds}: {name} of {contender}")
                    _measure(name, testbed, plan.seconds, (number, method, contender), results)
            yield
    finally:
        for testbed in testbeds.values():
            testbed.close()


def _set_up(method: str, name: str, results: Results) -> Testbed | None:
    """None where that can't be, which the results say."""
    contender = contenders.load(name)
    if contender.METHODS and method not in contender.METHODS:
        results.lacks(method, name, "", "it can't forward in this way")
        return None
    why_not = contender.cannot() or _cannot(method)
    if why_not:
        results.lacks(method, name, "", why_not)
        return None
    testbed: Testbed | None = None
    try:
        own = method if contender.METHODS else ""
        testbed = Testbed(f"{method}-{name}", own, _SCRATCH / method / name, offload=contender.OFFLOAD)
        servers.start(testbed)
        contender.set_up(testbed)
    except LabError as error:
        results.lacks(method, name, "", str(error))
        if testbed is not None:
            testbed.close()
        return None
    return testbed


def _cannot(method: str) -> str:
    """Why no real server of this kernel can be reached by a method."""
    if method == "tun" and not Path("/proc/sys/net/ipv4/conf/tunl0").exists():
        return (
            "this kernel has no tunl0 (module ipip) for the real server: `./inv vm bench` boots one that has"
        )
    return ""


def _measure(
    name: str, testbed: Testbed, seconds: float, where: tuple[int, str, str], results: Results
) -> None:
    measure = measures.load(name)
    number, method, contender = where
    found: dict[str, float] = {}
    why_not = getattr(contenders.load(contender), "LACKS", {}).get(name, "")
    if not why_not:
        try:
            found = measure.measure(testbed, seconds)
        except LabError as error:
            why_not = str(error)
    if why_not:
        for figure in measure.FIGURES:
            results.lacks(method, contender, figure, why_not)
    results.samples += [Sample(number, method, contender, figure, value) for figure, value in found.items()]
