"""Set-up scripts as an exercise has them: those of the lab, with edits in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from classroom import catalogue
from classroom.exercise import WORK, Edit
from classroom.variants import Variant
from labs.errors import BuildFailed
from realserver_setup.render import Script


def edits_of(variant: Variant) -> tuple[Edit, ...]:
    """Those that make the exercise's own lab, then those of the student's fault."""
    base = catalogue.load(variant.exercise).base
    return base if variant.fault is None else base + catalogue.faults(variant.exercise)[variant.fault].edits


def alteration(variant: Variant, work: Path = Path(WORK)) -> Callable[[Script], Script | None]:
    """For a lab's builder: changes its scripts, and leaves out those that would mend them by chance.

    What is left is what the lab runs: one dialect, and nothing that undoes. `work` is where the
    student's files are. Raises BuildFailed for an edit that finds nothing to change.
    """
    edits = edits_of(variant)

    def alter(script: Script) -> Script | None:
        host, file = script.name.split("/")[0], script.name.split("/")[-1]
        if "/iproute2/" in script.name or file.endswith("-undo.sh"):
            return None
        mine = [edit for edit in edits if edit.script == file and host in variant.hosts(edit.on)]
        text = edited(script, mine, variant).replace("{work}", str(work))
        return Script(script.name, text, script.interpreter)

    return alter


def edited(script: Script, edits: Iterable[Edit], variant: Variant) -> str:
    """The script's text after the edits."""
    text = script.text
    for edit in edits:
        put = _local(edit.put, script, variant)
        if edit.whole:
            text = put + "\n"
        elif not edit.find:
            text += put + "\n"
        else:
            text = _replaced(text, _local(edit.find, script, variant), put, script.name)
    return text


def _replaced(text: str, find: str, put: str, name: str) -> str:
    lines = text.splitlines()
    if not any(find in line and not line.startswith("#") for line in lines):
        raise BuildFailed(f"An exercise's edit of {name} finds no line with {find!r}.")
    changed: list[str] = []
    for line in lines:
        if find not in line or line.startswith("#"):
            changed.append(line)
        elif put:
            changed.append(put.replace("{line}", line))
    return "\n".join(changed) + "\n"


def _local(text: str, script: Script, variant: Variant) -> str:
    """Facts, and {host}: the machine whose script it is."""
    return variant.filled(text.replace("{host}", script.name.split("/")[0]))
