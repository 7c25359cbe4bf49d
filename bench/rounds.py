"""A side-by-side run: sets up a testbed for every contender, then measures all in turns, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import contenders, measures
from bench.figures import Results, Sample
from bench.testbed import Testbed
from labs.errors import LabError
from labs.methods import METHODS

_SCRATCH = Path("/run/bench")
_NO_TUNNEL = "this kernel has no tunl0 (module ipip) for the real server: `./inv vm bench` boots one that has"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The contenders, methods and measures of a run; `seconds` is the length of one measurement."""

    methods: tuple[str, ...] = METHODS
    contenders: tuple[str, ...] = field(default_factory=contenders.usual)
    measures: tuple[str, ...] = field(default_factory=measures.names)
    seconds: float = 3
    rounds: int = 3

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def steps(plan: Plan) -> int:
    """The maximum number of calls of `say`."""
    return len(plan.methods) * len(plan.contenders) * (1 + plan.rounds * len(plan.measures))


def measure(plan: Plan, results: Results, say: Progress) -> Iterator[None]:
    """Measure everything; yield after each round, so that the caller can keep it. Needs root of a sandbox."""
    for method in plan.methods:
        yield from _measure_method(plan, method, results, say)
    results.complete = True


def _measure_method(plan: Plan, method: str, results: Results, say: Progress) -> Iterator[None]:
    testbeds: dict[str, Testbed] = {}
    try:
        for contender in plan.contenders:
            say(f"{method}: setting up {contender}")
            testbed = _set_up(method, contender, results)
            if testbed is not None:
                testbeds[contender] = testbed
        for number in range(plan.rounds):
            for measure in plan.measures:
                for contender, testbed in testbeds.items():
                    say(f"{method}, round {number + 1} of {plan.rounds}: {measure} of {contender}")
                    _measure(measure, testbed, plan.seconds, (number, method, contender), results)
            yield
    finally:
        for testbed in testbeds.values():
            testbed.close()


def _set_up(method: str, name: str, results: Results) -> Testbed | None:
    """A contender's testbed; None if it can't be set up, with the reason in the results."""
    contender = contenders.get(name)
    reason = contender.obstacle()
    if contender.methods and method not in contender.methods:
        reason = "it can't forward by this method"
    elif not reason and method == "tun" and not Path("/proc/sys/net/ipv4/conf/tunl0").exists():
        reason = _NO_TUNNEL
    if reason:
        results.lacks(method, name, "", reason)
        return None
    own = method if contender.methods else ""
    testbed: Testbed | None = None
    try:
        testbed = Testbed(
            f"{method}-{name}",
            own,
            _SCRATCH / method / name,
            offload=contender.offload,
            family=contender.family,
        )
        testbed.start_servers()
        contender.set_up(testbed)
    except LabError as error:
        results.lacks(method, name, "", str(error))
        if testbed is not None:
            testbed.close()
        return None
    return testbed


def _measure(
    name: str, testbed: Testbed, seconds: float, where: tuple[int, str, str], results: Results
) -> None:
    """Take one measure of one contender; `where`: round, method, contender."""
    measure = measures.get(name)
    number, method, contender = where
    found: dict[str, float] = {}
    reason = contenders.get(contender).lacks.get(name, "")
    if not reason:
        try:
            found = measure.take(testbed, seconds)
        except LabError as error:
            reason = str(error)
    if reason:
        for figure in measure.figures:
            results.lacks(method, contender, figure, reason)
    results.samples += [Sample(number, method, contender, figure, value) for figure, value in found.items()]
