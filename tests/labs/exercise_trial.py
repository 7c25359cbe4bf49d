"""An exercise, healthy, or with its fault and then repaired: `... EXERCISE STUDENT healthy|fault`.

Prints one line of JSON for each state of the lab: the result of every check, by the judge's name, and the
doctor's findings. Repairs are the commands of SOLUTIONS, or what the doctor prints, typed on their hosts.
Exit code 0: with its fault the exercise fails, otherwise it passes.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence

from classroom import catalogue
from classroom.model import Variant
from classroom.session import ExerciseSession, run
from classroom.variants import variant_for
from doctor.causes import diagnose
from doctor.collect_lab import collect_lab
from labs.checks.result import Check
from labs.wait import poll_until

_SETTLED = 15  # seconds: on a busy machine, what a fault or repair does may take a moment to show


def tell(state: str, session: ExerciseSession, fails: Sequence[str] = ()) -> bool:
    """Whether every check passed; checks again until exactly `fails` fail."""
    began = time.monotonic()
    about = session.definition.checks

    def failed(checks: Sequence[Check]) -> list[str]:
        return sorted(judge.__name__ for judge, check in zip(about, checks, strict=True) if not check.ok)

    checks = poll_until(
        lambda: session.judge(session.observe()),
        lambda checks: failed(checks) == sorted(fails),
        _SETTLED,
    )
    took = time.monotonic() - began
    found = diagnose(collect_lab(session.running))
    report = {
        "state": state,
        "seconds": round(took, 1),
        "checks": {
            judge.__name__: {"ok": check.ok, "expected": check.expected, "observed": check.observed}
            for judge, check in zip(about, checks, strict=True)
        },
        "causes": [{"cause": cause.cause, "host": cause.host, "evidence": cause.evidence} for cause in found],
    }
    print(json.dumps(report), flush=True)
    return all(check.ok for check in checks)


def promised(variant: Variant) -> tuple[str, ...]:
    """The checks that the fault should fail."""
    return catalogue.solutions(variant.exercise)[variant.number or 0].fails


def repair(session: ExerciseSession, variant: Variant) -> None:
    """Type the solution; raises SystemExit with the output of a command that fails.

    In IPv6, the second fault is repaired with what the doctor prints.
    """
    if variant.definition.family == 6 and variant.number == 1:
        for cause in diagnose(collect_lab(session.running)):
            type_in(session, cause.host, cause.repair)
        return
    solution = catalogue.solutions(variant.exercise)[variant.number or 0]
    for step in solution.repairs:
        for name in variant.hosts(variant.filled(step.on)):
            for command in step.commands:
                type_in(session, name, variant.filled(command))


def type_in(session: ExerciseSession, host: str, command: str) -> None:
    line = f"cd {shlex.quote(str(session.evidence.scripts / host))} && {{ {command}\n}}"
    done = session.running.network.hosts[host].run(["sh", "-c", line])
    if done.exit_code != 0:
        raise SystemExit(f"{host}: {line}: {done.exit_code}: {done.stdout}{done.stderr}")


def main(exercise: str, student: str, state: str) -> int:
    variant = variant_for(exercise, student, healthy=state == "healthy")

    def stay(session: ExerciseSession) -> None:
        if state == "healthy" and not catalogue.faults(exercise):  # where something is to be made
            repair(session, variant)
        passed = tell(state, session, promised(variant) if state == "fault" else ())
        if state == "fault":
            repair(session, variant)
            passed = not passed and tell("mended", session)
        if not passed:
            raise SystemExit(1)

    return run(variant, stay)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
