"""One scenario on both directors, step by step: python -m oracle.replay 'wlc 1999/3 (nat)'

If they differ in a way that the scenario does not declare, lines are removed as long as the difference
remains: what is left is the shortest scenario that shows it.
"""

from __future__ import annotations

import re
import sys

from oracle.compare import Difference, differences, frames, shrunk
from oracle.generate import generated
from oracle.in_process import InProcessDirector
from oracle.on_the_wire import PlayerError, PlayerProcess
from oracle.play import merged, play
from oracle.recordings import every, wanted
from oracle.scenario import Scenario
from oracle.site import Place

_NAME = re.compile(r"(.+) \((nat|tun|dr)\)")
_GENERATED = re.compile(r"(\w+) (\d+)/(\d+)")


def find(asked: str) -> tuple[Scenario, Place]:
    """The scenario `NAME (METHOD)`. Raises LookupError."""
    match = _NAME.fullmatch(asked)
    name, method = match.groups() if match else ("", "")
    for recorded_method, kind in every():
        for scenario, place in wanted(recorded_method, kind):
            if (scenario.name, scenario.method) == (name, method):
                return scenario, place
    generated_name = _GENERATED.fullmatch(name)
    if generated_name is None:
        raise LookupError(f"no scenario {asked!r}: expected a name and a method, as in 'wlc 1999/3 (nat)'")
    scheduler, seed, number = generated_name.groups()
    return generated(int(seed), method, scheduler, int(number)), Place(0)


def unknown(scenario: Scenario, place: Place, kernel: PlayerProcess, *, fresh: bool) -> list[Difference]:
    """The differences that the scenario does not declare."""
    answers = kernel.play(scenario, place, fresh=fresh)
    found = differences(scenario, play(scenario, place, InProcessDirector(scenario.method)), answers)
    return [difference for difference in found if not difference.known]


def shortest(scenario: Scenario, place: Place, kernel: PlayerProcess) -> tuple[Scenario, Difference] | None:
    """The shortest scenario that still differs, and the difference; None if there is none."""

    def differs(candidate: Scenario) -> bool:
        try:
            return bool(unknown(candidate, place, kernel, fresh=True))
        except PlayerError:
            return False

    if not differs(scenario):
        return None
    short = shrunk(scenario, differs)
    return short, unknown(short, place, kernel, fresh=True)[0]


def main(asked: str) -> int:
    try:
        scenario, place = find(asked)
    except LookupError as error:
        print(f"{error}.", file=sys.stderr)
        return 2
    with PlayerProcess() as kernel:
        kernels = kernel.play(scenario, place, fresh=True)
        ours = play(scenario, place, InProcessDirector(scenario.method))
        for number, (step, its, our) in enumerate(zip(merged(scenario.steps), kernels, ours, strict=True)):
            print(f"{number:3} {step.text}")
            print(f"      kernel  {frames(its.out)}\n      ours    {frames(our.out)}")
        found = shortest(scenario, place, kernel)
    if found is None:
        print("No difference except those that the scenario declares.")
        return 0
    short, difference = found
    print("Shortest scenario that differs:", *short.lines, difference, sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
