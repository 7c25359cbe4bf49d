"""What people try in an exercise, in one lab: `... EXERCISE STUDENT` prints a line of JSON for each try."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from classroom.model import Variant
from classroom.session import ExerciseSession, run
from classroom.variants import variant_for
from labs.wait import poll_until
from tests.labs.repairs import TRIES

_SETTLED = 15  # seconds: on a busy machine, what is typed may take a moment to show


def type_all(session: ExerciseSession, variant: Variant, typed: Mapping[str, str]) -> None:
    """Raises SystemExit with the output of a command that fails."""
    macs = {name: mac for mac, name in variant.plan.topology.names_of_macs.items()}
    more = {"mac": macs.get("d-eth0", ""), **_addresses(variant)}
    for word, command in typed.items():
        for name, value in more.items():
            command = command.replace(f"{{{name}}}", value)
        line = variant.filled(command).replace("{{", "{").replace("}}", "}")
        for host in variant.hosts(variant.filled(word)):
            folder = shlex.quote(str(session.evidence.scripts / host))
            done = session.running.network.hosts[host].run(["sh", "-c", f"cd {folder} && {{ {line}\n}}"])
            if done.exit_code != 0:
                raise SystemExit(f"{host}: {line}: {done.exit_code}: {done.stdout}{done.stderr}")


def _addresses(variant: Variant) -> dict[str, str]:
    """Of hosts that only the exercise has."""
    return {node.name: node.address for node in variant.plan.topology.nodes}


def _failed(session: ExerciseSession) -> dict[str, str]:
    """What the checks that fail have observed, by the judge's name."""
    about, checks = session.definition.checks, session.judge(session.observe())
    return {
        judge.__name__: check.observed for judge, check in zip(about, checks, strict=True) if not check.ok
    }


def _as_expected(fails: Sequence[str], failed: Mapping[str, str]) -> bool:
    """A right repair passes; a wrong one is refused by these checks, perhaps by others, too."""
    return set(fails) <= set(failed) and bool(fails) == bool(failed)


def main(exercise: str, student: str) -> int:
    variant = variant_for(exercise, student)

    def stay(session: ExerciseSession) -> None:
        for repair in TRIES[exercise]:
            type_all(session, variant, repair.typed)
            failed = poll_until(partial(_failed, session), partial(_as_expected, repair.fails), _SETTLED)
            print(json.dumps({"what": repair.what, "failed": failed}), flush=True)
            type_all(session, variant, repair.undo)

    return run(variant, stay)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
