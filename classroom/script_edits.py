"""Apply an exercise's edits to the lab's set-up scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from classroom.model import WORKDIR, Edit, Variant
from labs.errors import BuildFailed
from realserver_setup.render import Script


def edits_of(variant: Variant) -> tuple[Edit, ...]:
    """The edits of the exercise, then those of the student's fault."""
    return variant.definition.base + (variant.fault.edits if variant.fault else ())


def script_editor(variant: Variant, work: Path = Path(WORKDIR)) -> Callable[[Script], Script | None]:
    """A function for the lab's builder that returns the edited script, or None to leave one out.

    Only the dialect that the lab runs is kept, without undo scripts, because the others would reveal the
    repair. `work` is the folder of the student's files. Raises BuildFailed for an edit that matches no line.
    """
    edits = edits_of(variant)

    def edit_script(script: Script) -> Script | None:
        host, file = script.name.split("/")[0], script.name.split("/")[-1]
        if "/iproute2/" in script.name or file.endswith("-undo.sh"):
            return None
        own = [edit for edit in edits if edit.script == file and host in variant.hosts(edit.on)]
        text = edited(script, own, variant).replace("{work}", str(work))
        return Script(script.name, text, script.interpreter)

    return edit_script


def edited(script: Script, edits: Iterable[Edit], variant: Variant) -> str:
    """The script's text after the edits."""
    text = script.text
    for edit in edits:
        put = _filled(edit.put, script, variant)
        if edit.whole:
            text = put + "\n"
        elif not edit.find:
            text += put + "\n"
        else:
            text = _replaced(text, _filled(edit.find, script, variant), put, script.name)
    return text


def _replaced(text: str, find: str, put: str, name: str) -> str:
    """Every line with `find` replaced by `put`; comments stay. Raises BuildFailed."""
    lines = text.splitlines()
    if not any(find in line and not line.startswith("#") for line in lines):
        raise BuildFailed(f"An exercise's edit of {name} matches no line: {find!r}.")
    changed: list[str] = []
    for line in lines:
        if find not in line or line.startswith("#"):
            changed.append(line)
        elif put:
            changed.append(put.replace("{line}", line))
    return "\n".join(changed) + "\n"


def _filled(text: str, script: Script, variant: Variant) -> str:
    """`text` with its facts filled in, and {host}, the script's host."""
    return variant.filled(text.replace("{host}", script.name.split("/")[0]))
